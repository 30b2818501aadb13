"""The only place where object keys are spelled.

Private store: `records/`, `latest/`, `memo/`, `secrets/`, `waivers/` and, per dataset, `datasets/<name>/` with
`shards`, `quarantine`, `cursor`, `receipts`, `checkpoints`, `reports`, `encoders` and `features`.
Release store: `metadata/` (TUF), `targets/`, `datasets/<name>/<version>/`; `claims/`, `probes/` and `lock.json` while
somebody publishes.
"""

DATASETS = "datasets/"


def record(kind: str, digest: str) -> str:
    """A record by its digest (private)."""
    return f"records/{kind}/{digest}.json"


def latest(asset: str) -> str:
    """Pointer to the newest record of one asset, such as `phantom-head/model/checkpoint` (private)."""
    return f"latest/{asset}.json"


def memo(asset: str, stage_key: str) -> str:
    """Names the record that a stage made of certain inputs, so that it is not made twice (private)."""
    return f"memo/{asset}/{stage_key}.json"


def shard(dataset: str, stage: str, sha256: str) -> str:
    """A Parquet shard of cases, by its content; stage is intake, prepared, synthetic or removed (private)."""
    return f"datasets/{dataset}/shards/{stage}/{sha256}.parquet"


def quarantined(dataset: str, sha256: str) -> str:
    """A file held back at intake, by its content (private)."""
    return f"datasets/{dataset}/quarantine/{sha256}"


def cursor(dataset: str, context: str = "", part: str = "") -> str:
    """What intake remembers: under one code and key, part `files/`, `cases/` or `finished.json` (private)."""
    return f"datasets/{dataset}/cursor/{context}/{part}" if context else f"datasets/{dataset}/cursor/"


def approval(dataset: str, digest: str = "") -> str:
    """A signed approval of quarantined files, by its content; without one, the prefix of all (private)."""
    return f"{DATASETS}{dataset}/approvals/{digest}.json" if digest else f"{DATASETS}{dataset}/approvals/"


def checkpoint(dataset: str, train_key: str, step: int, kind: str) -> str:
    """A file of a checkpoint: kind is `model.safetensors`, `resume.safetensors` or `state.json` (private)."""
    return f"datasets/{dataset}/checkpoints/{train_key}/{step:08d}/{kind}"


def checkpoint_pointer(dataset: str, train_key: str) -> str:
    """Names the newest whole checkpoint of one training run (private)."""
    return f"datasets/{dataset}/checkpoints/{train_key}/latest.json"


def receipt(dataset: str, plan: str, index: int) -> str:
    """Create-only proof that one shard of a plan was committed (private)."""
    return f"datasets/{dataset}/receipts/{plan}/{index:06d}.json"


def receipts(dataset: str, plan: str) -> str:
    """Prefix of all receipts of a plan (private)."""
    return f"datasets/{dataset}/receipts/{plan}/"


def report(dataset: str, digest: str, name: str) -> str:
    """A file of a validation report, such as `report.html` (private)."""
    return f"datasets/{dataset}/reports/{digest}/{name}"


def feature_encoder(dataset: str, digest: str) -> str:
    """Weights of the self-supervised feature encoder, by the digest of what it was trained on (private)."""
    return f"datasets/{dataset}/encoders/{digest}.safetensors"


def trust_metadata(name: str) -> str:
    """A TUF metadata file, such as `timestamp.json` (release)."""
    return f"metadata/{name}"


def signed_target(sha256: str, name: str) -> str:
    """A TUF target which changes, such as the recall list, under its content (release)."""
    return f"targets/{sha256}.{name}"


def release(dataset: str, version: str, path: str) -> str:
    """A file of one release (release)."""
    return f"datasets/{dataset}/{version}/{path}"


def claim(dataset: str, version: str, number: int) -> str:
    """Who publishes a version now (release)."""
    return f"claims/{dataset}/{version}/{number:06d}.json"


def probe(name: str) -> str:
    """An object that is written to see what the store can do, and removed at once (release)."""
    return f"probes/{name}"


def manifest(dataset: str, version: str) -> str:
    """The signed list of a release's files (release)."""
    return release(dataset, version, "manifest.json")


def features(dataset: str, family: str, digest: str) -> str:
    """Features of one CaseSet, by a digest of the CaseSet and of the extractor (private)."""
    return f"datasets/{dataset}/features/{family}/{digest}.parquet"


PSEUDONYM_KEY = "secrets/pseudonym-key"  # (private)
WATERMARK_KEY = "secrets/watermark-key"  # (private)
SPLIT_KEY = "secrets/split-key"  # (private)
NOISE_KEY = "secrets/noise-key"  # of differential privacy: who has it can take the noise away (private)
LOCK = "lock.json"  # of a store without conditional writes, while somebody publishes (release)
RECALLS = "recalls.json"  # (release)
PORTAL = "index.html"  # (release)
WAIVERS = "waivers/"  # prefix of signed waiver files (private)
