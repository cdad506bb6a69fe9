"""Where each benchmark's files have their public home: repository, full commit, path, and sha256.

The names are those under which the loaders of `benchmarks` read the files, not those of the repositories.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """One file. Without those that are `needed` a benchmark cannot be run; the others add to it."""

    name: str
    url: str
    sha256: str
    needed: bool = True


@dataclass(frozen=True)
class Source:
    """The files of one benchmark and the licence that their homes state for them."""

    files: tuple[File, ...]
    licence: str

    def file(self, name: str) -> File:
        """The file of that name, which is known to be there."""
        return next(file for file in self.files if file.name == name)


GITHUB = "https://raw.githubusercontent.com"
FASTCHAT = f"{GITHUB}/lm-sys/FastChat/587d5cfa1609a43d192cedb8441cac3c17db105d/fastchat/llm_judge/data"
SIMPO = f"{GITHUB}/princeton-nlp/SimPO/e36b6d5946a60684e25a908a740a91ae2418903f/eval/mt-bench"
ALPACA_EVAL = f"{GITHUB}/tatsu-lab/alpaca_eval/cd543a149df89434d8a54582c0151c0b945c3d20/results"
ALPACA_EVAL_HUB = (
    "https://huggingface.co/datasets/tatsu-lab/alpaca_eval/resolve/2edc6fad8be6b14ea7230aabfd08188da6b8b814"
)
ARENA_HARD = f"{GITHUB}/lmarena/arena-hard-auto/196f6b826783b3da7310e361a805fa36f0be83f3"
GSM8K = f"{GITHUB}/openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data"
LLMBAR = f"{GITHUB}/princeton-nlp/LLMBar/900616bff90b6c6c8e1681f7d079250637c55992/Dataset/LLMBar"

MT_BENCH = Source(
    licence="Apache-2.0 (lm-sys/FastChat); the SimPO references MIT (princeton-nlp/SimPO)",
    files=(
        File(
            "question.jsonl",
            f"{FASTCHAT}/mt_bench/question.jsonl",
            "119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7",
        ),
        File(
            "judge_prompts.jsonl",
            f"{FASTCHAT}/judge_prompts.jsonl",
            "fd283293406d024f44c174b094ef48031d0687a4682fd3a56b29b138f80281b6",
        ),
        File(
            "reference_answer_gpt-4.jsonl",
            f"{FASTCHAT}/mt_bench/reference_answer/gpt-4.jsonl",
            "f957a5bc977badb66885ec970e6cd08527845780313f0995764260e5777b9b3f",
        ),
        File(
            "reference_answer_gpt-4-1106-preview_simpo.jsonl",
            f"{SIMPO}/gpt-4-1106-preview.jsonl",
            "fe030678a33dbbd3d729e7569375150b8830a53f5b11f820a75b630db317f56f",
            needed=False,
        ),
    ),
)

ALPACA = Source(
    licence="CC BY-NC 4.0, non-commercial (tatsu-lab/alpaca_eval; its code is Apache-2.0)",
    files=(
        File(
            "model_outputs/gpt4_1106_preview.json",
            f"{ALPACA_EVAL}/gpt4_1106_preview/model_outputs.json",
            "83db546b872ddebee8965fd05fa48461ee3c32bc695c62fb57f2d214ff741ec4",
        ),
        File(
            "model_outputs/text_davinci_003.json",
            f"{ALPACA_EVAL}/text_davinci_003/model_outputs.json",
            "af0bc112f08c88bf589bbfe6fc1036806d0a0f6fec9c4d5a4db860f5afe73b4b",
            needed=False,
        ),
        File(
            "df_gamed.csv",
            f"{ALPACA_EVAL_HUB}/df_gamed.csv",
            "97aeec3f1c7de6dee6fd31fe66f1702623f4614c3efe1c6fc5f4927cd5fd674d",
            needed=False,
        ),
        File(
            "instruction_difficulty.csv",
            f"{ALPACA_EVAL_HUB}/instruction_difficulty.csv",
            "e28d875bb334f75e17acd1e4ed659b261860e3db379cf5de29060301bed0a18b",
            needed=False,
        ),
    ),
)

ARENA = Source(
    licence="Apache-2.0 (lmarena/arena-hard-auto)",
    files=(
        File(
            "question_v0.1.jsonl",
            f"{ARENA_HARD}/data/arena-hard-v0.1/question.jsonl",
            "2650242d2883f22b2abd498f273b6a7e02253cce533f5c91a858e1d44aa3002f",
        ),
        File(
            "model_answer_v0.1_gpt-4-0314.jsonl",
            f"{ARENA_HARD}/data/arena-hard-v0.1/model_answer/gpt-4-0314.jsonl",
            "0f6abc84de4600fde987d9db70f838f4ecdbd27a2f1f4058c12aa322a6f791b2",
        ),
        File(
            "arena-hard-v0.1.yaml",
            f"{ARENA_HARD}/config/arena-hard-v0.1.yaml",
            "87ac45a188421218349697b5eda95cc77f6e60b6f61495d67d8cfebba3210528",
            needed=False,
        ),
        File(
            "question_v2.0.jsonl",
            f"{ARENA_HARD}/data/arena-hard-v2.0/question.jsonl",
            "a75cef6623db6b27aec810497b059f0659705d7ff48dcbccc5bd5b130728ac73",
            needed=False,
        ),
        File(
            "model_answer_v2.0_o3-mini-2025-01-31.jsonl",
            f"{ARENA_HARD}/data/arena-hard-v2.0/model_answer/o3-mini-2025-01-31.jsonl",
            "c23a7c255eead99f7f86ad48aa1d8ccdb5b3334f2097e0e1e09184df87265e03",
            needed=False,
        ),
        File(
            "model_answer_v2.0_gemini-2.0-flash-001.jsonl",
            f"{ARENA_HARD}/data/arena-hard-v2.0/model_answer/gemini-2.0-flash-001.jsonl",
            "70f614e1345f787a1da98c239d27f6df3c1d26b411cf894949f934a3039d6f0b",
            needed=False,
        ),
        File(
            "arena-hard-v2.0.yaml",
            f"{ARENA_HARD}/config/arena-hard-v2.0.yaml",
            "ee68e5c6ac98a79720bf11014fc3f7fc3c3e5899153b3b08efe3db0e174215a0",
            needed=False,
        ),
    ),
)

SOURCES = {
    "mt-bench": MT_BENCH,
    "alpaca-eval": ALPACA,
    "arena-hard": ARENA,
    "gsm8k": Source(
        licence="MIT (openai/grade-school-math)",
        files=(
            File(
                "gsm8k_test.jsonl",
                f"{GSM8K}/test.jsonl",
                "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
            ),
        ),
    ),
    "llmbar": Source(
        licence="MIT (princeton-nlp/LLMBar)",
        files=(
            File(
                "Natural.json",
                f"{LLMBAR}/Natural/dataset.json",
                "f7127b7aa78104cb8e03a2b1b3ac0077e95b125714dd441a8ee63666145a3375",
            ),
            File(
                "Adversarial_GPTInst.json",
                f"{LLMBAR}/Adversarial/GPTInst/dataset.json",
                "1002425f73c2cf54b6e6de99bce3f6c60fa2a17d13194772e37d7481c1351d42",
            ),
            File(
                "Adversarial_GPTOut.json",
                f"{LLMBAR}/Adversarial/GPTOut/dataset.json",
                "1ff56e520d7607750a9866a3be0f5b850392ca4477a1f69d80f32bd3e310f561",
            ),
            File(
                "Adversarial_Manual.json",
                f"{LLMBAR}/Adversarial/Manual/dataset.json",
                "0d9598769a39cdbbd265778c37e49939d41d5f76dcfb17bd75dcfa07516d3837",
            ),
            File(
                "Adversarial_Neighbor.json",
                f"{LLMBAR}/Adversarial/Neighbor/dataset.json",
                "6712c7eda6342602e0bc7c06c282fa95e2110d4e741a284026a62d937f9780a0",
            ),
        ),
    ),
}
