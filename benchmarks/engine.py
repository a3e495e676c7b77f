"""Posts a second and memory of the shipped engine beside what else one could use, in one run on the same posts.

python benchmarks/engine.py POSTS [--posts 2000] [--tokens 25]

POSTS is JSON Lines of {"id", "text"}, plain or gzip. Beside `listener classify --file`: the same weights in PyTorch
fp32 in sorted batches of 32, the transformers pipeline on them (one by one, and in batches of 32), and VADER. Each
contender runs in a process of its own, which reports its speed with start and loading left out, and its peak memory
with them. Needs the extra `train`. On a busy machine every figure is lower; the ratios hold better.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from listener.resources import model_folder

SLOW = {"pipeline one by one": 300}  # posts are enough for what takes 20 ms each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("posts", type=Path)
    parser.add_argument("--posts", dest="number", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=25, help="mean length of the posts taken")
    parser.add_argument("--lengths", action="store_true", help="also how speed falls with length")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        CONTENDERS[given.contender](read(given.posts))
        return
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "posts.jsonl"
        mean = choose(given.posts, file, given.number, given.tokens)
        print(f"{given.number} posts of {mean:.1f} tokens")
        speeds = {name: contend(name, file) for name in CONTENDERS}
        ours = speeds["listener classify --file"]
        for name, speed in speeds.items():
            print(f"{name:28} {speed:8.0f} posts/s   ours is {ours / speed:5.1f} times as fast")
        limit = arithmetic_limit(mean)
        print(f"its int8 layers alone: {limit:.0f} posts/s; ours reaches {ours / limit:.0%} of it")
        print(f"`listener classify --file` of one post: {first_verdict(file):.2f} s")
        if given.lengths:
            for tokens in (10, 25, 50, 100, 190):
                mean = choose(given.posts, file, 600, tokens)
                print(f"{mean:6.0f} tokens {contend('listener classify --file', file):8.0f} posts/s")


def choose(source: Path, out: Path, number: int, tokens: int) -> float:
    """Writes `number` posts whose lengths lie around `tokens`; returns their mean length in tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    lengths = []
    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rt") as lines, out.open("w") as chosen:
        for line in lines:
            post = json.loads(line)
            length = len(tokenizer.encode(post["text"]).ids)
            if tokens * 0.6 <= length <= tokens * 1.4:
                chosen.write(json.dumps({"id": post["id"], "text": post["text"]}) + "\n")
                lengths.append(length)
                if len(lengths) == number:
                    break
    if not lengths:
        raise SystemExit(f"{source} has no posts of about {tokens} tokens")
    return statistics.mean(lengths)


def read(file: Path) -> list[str]:
    from listener.text import model_input

    return [model_input("", json.loads(line)["text"]) for line in file.read_text().splitlines()]


def contend(name: str, file: Path) -> float:
    """Posts a second of one contender in its own process; prints its memory."""
    done = subprocess.run(
        [sys.executable, __file__, str(file), "--contender", name], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    speed, megabytes = json.loads(done.stdout)
    print(f"  {name}: {megabytes:.0f} MB at most")
    return float(speed)


def report(work: Callable[[], object], posts: int) -> None:
    """The best of three runs: what disturbs a run only ever slows it."""
    best = min(_timed(work) for _ in range(3))
    status = Path("/proc/self/status").read_text()  # its peak starts anew with exec; that of getrusage does not
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps([posts / best, peak / 1024]))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ours(texts: list[str]) -> None:
    """Lines in, lines out: all that `classify --file` does but the start of Python."""
    import io

    from listener import engine
    from listener.config import ModelSettings
    from listener.scoring import score_lines

    classifier = engine.load(ModelSettings())
    lines = [json.dumps({"id": n, "text": text}).encode() for n, text in enumerate(texts)]
    report(lambda: score_lines(lines, io.StringIO(), classifier, print), len(texts))


def torch_sorted(texts: list[str]) -> None:
    import torch
    from tokenizers import Tokenizer

    from listener.training.export import restored

    model = restored(model_folder()).eval()
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(192)

    def work() -> None:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for at in range(0, len(order), 32):
            tokenizer.enable_padding()
            coded = tokenizer.encode_batch([texts[i] for i in order[at : at + 32]])
            with torch.inference_mode():
                model(torch.tensor([c.ids for c in coded]), torch.tensor([c.attention_mask for c in coded]))

    report(work, len(texts))


def pipeline(texts: list[str], batch: int) -> None:
    """A sequence classifier of the same encoder, saved and loaded as transformers' users do."""
    import torch
    import transformers
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

    from listener.training.export import restored

    model = restored(model_folder())
    config = model.encoder.config
    config.num_labels = 7
    whole = BertForSequenceClassification(config)
    whole.bert.load_state_dict(model.encoder.state_dict(), strict=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(model_folder() / "tokenizer.json"), pad_token="[PAD]", model_max_length=192
    )
    classify = transformers.pipeline(
        "text-classification", model=whole, tokenizer=tokenizer, device=torch.device("cpu")
    )
    report(lambda: classify(texts, batch_size=batch, truncation=True), len(texts))


def vader(texts: list[str]) -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    report(lambda: [analyser.polarity_scores(text) for text in texts], len(texts))


CONTENDERS: dict[str, Callable[[list[str]], None]] = {
    "listener classify --file": ours,
    "PyTorch fp32, sorted by 32": torch_sorted,
    "pipeline one by one": lambda texts: pipeline(texts[: SLOW["pipeline one by one"]], 1),
    "pipeline by 32": lambda texts: pipeline(texts, 32),
    "VADER (sentiment alone)": vader,
}


def arithmetic_limit(tokens: float) -> float:
    """Posts a second if the encoder were its matrix products alone, at the speed that one of them reaches here."""
    import os
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    rows, inner, outer = 512, 384, 1536
    weight = np.random.default_rng(0).integers(-127, 127, (inner, outer), dtype=np.int8)
    node = helper.make_node("DynamicQuantizeMatMul", ["x", "w", "s", "z"], ["y"], domain="com.microsoft")
    constants = {"w": weight, "s": np.ones(outer, dtype=np.float32), "z": np.zeros(outer, dtype=np.int8)}
    graph = helper.make_graph(
        [node], "product", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, inner])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, outer])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((rows, inner), dtype=np.float32)
    cores, times = len(os.sched_getaffinity(0)), 200
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(lambda _: session.run(None, {"x": x}), range(20)))
        taken = min(
            _timed(lambda: list(pool.map(lambda _: session.run(None, {"x": x}), range(times)))) for _ in range(3)
        )
    built = onnx.load(model_folder() / "model.onnx")
    weights = {each.name: int(np.prod(each.dims)) for each in built.graph.initializer if each.name.endswith(".int8")}
    products = sum(weights.values()) - weights["words.int8"]
    return rows * inner * outer * times / taken / (products * tokens)


def first_verdict(file: Path) -> float:
    """Seconds from the start of the command to its verdict on one post; median of 5."""
    line = file.read_text().splitlines()[0].encode()
    command = [sys.executable, "-m", "listener", "classify", "--file", "-"]
    return statistics.median(
        _timed(lambda: subprocess.run(command, input=line, stdout=subprocess.DEVNULL, check=True)) for _ in range(5)
    )


if __name__ == "__main__":
    main()
