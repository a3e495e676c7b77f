"""Notes in the released model what being a review tells: python models/reviews.py LABELS CORPORA MODEL

As `listener train --reviews` does, on the labels of all rounds: the last step of the training saw the last one alone.
"""

import json
import sys
from pathlib import Path

from listener.engine.onnx import OnnxClassifier
from listener.training.calibrate import review_bias
from listener.training.dataset import hold_out, read_labels
from listener.training.release import HELD_OUT

SOURCES = (
    "amazon_alexa", "booking_515k_sample", "datafiniti_hotel", "google_play_reviews", "steam_reviews",
    "tripadvisor_tokyo_hotels", "trustpilot_pet_insurance",
)  # fmt: skip

labels, corpora, folder = map(Path, sys.argv[1:4])
rounds = Path(__file__).parent.parent / "data" / "labels"
measuring = (labels / "dev.jsonl", rounds / "round-4-held-out.jsonl")
apart = {example.id for path in measuring for example in read_labels(path, corpora)}
files = (labels / "train.jsonl", *(rounds / f"round-{number}.jsonl" for number in (1, 2, 3, 4)))
known = [example for path in files for example in read_labels(path, corpora) if example.id not in apart]
kept, held = hold_out(known, HELD_OUT)
model = OnnxClassifier(folder)
bias = review_bias(model.logits([example.text for example in held]), held, kept, SOURCES, model.calibration)
config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
config["calibration"]["review_bias"] = list(bias)
(folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
sys.stdout.write(f"{folder / 'config.json'}: {dict(zip(config['moments'], bias, strict=True))}\n")
