"""The engine that runs a comparison."""

import logging

# transformers imports torchao where it is installed, which tells at each start what this machine lacks.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)
