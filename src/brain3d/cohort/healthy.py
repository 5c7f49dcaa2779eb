"""Reports for healthy subjects, whose data sets bring none: one of a few sentences, chosen by the subject."""

from __future__ import annotations

import hashlib

TEMPLATES = (
    "No focal abnormality is seen in the brain on FLAIR.",
    "The brain shows no focal lesion and no edema.",
    "There is no focal signal abnormality in either hemisphere.",
    "No lesion, no edema and no mass effect are seen.",
    "The FLAIR signal of the brain is normal, without a focal lesion.",
    "No focal lesion is visible, and the ventricles are of normal size.",
)


def healthy_report(subject: str, seed: int) -> str:
    """The sentence for a healthy subject: the same on every machine and in every process."""
    digest = hashlib.sha256(f"healthy report\0{seed}\0{subject}".encode()).digest()
    return TEMPLATES[int.from_bytes(digest[:8], "big") % len(TEMPLATES)]
