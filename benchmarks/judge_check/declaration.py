"""LLMBar's gold pairs: where `bench judge check` has them from."""

from benchmarks.declaration import DataFile, DataSet

HOME = "https://raw.githubusercontent.com/princeton-nlp/LLMBar/900616bff90b6c6c8e1681f7d079250637c55992"
SHA256 = {
    "Natural": "f7127b7aa78104cb8e03a2b1b3ac0077e95b125714dd441a8ee63666145a3375",
    "Adversarial/GPTInst": "1002425f73c2cf54b6e6de99bce3f6c60fa2a17d13194772e37d7481c1351d42",
    "Adversarial/GPTOut": "1ff56e520d7607750a9866a3be0f5b850392ca4477a1f69d80f32bd3e310f561",
    "Adversarial/Manual": "0d9598769a39cdbbd265778c37e49939d41d5f76dcfb17bd75dcfa07516d3837",
    "Adversarial/Neighbor": "6712c7eda6342602e0bc7c06c282fa95e2110d4e741a284026a62d937f9780a0",
}
DATA_SET = DataSet(
    name="llmbar",
    licence="MIT (princeton-nlp/LLMBar)",
    files=tuple(
        DataFile(f"{part.replace('/', '_')}.json", f"{HOME}/Dataset/LLMBar/{part}/dataset.json", SHA256[part])
        for part in SHA256
    ),
)
