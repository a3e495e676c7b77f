"""One encoder, one pass, three heads."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig

from listener.engine.calibration import WIDTH


class MomentModel(nn.Module):  # type: ignore[misc,unused-ignore]  # torch is not always installed beside mypy
    """A BERT-like encoder, mean pooling over real tokens, and one linear map to the 27 logits of the three heads."""

    def __init__(self, base: Path | PretrainedConfig, dropout: float = 0.1) -> None:
        """With the weights of the folder `base`, or with none yet where only an architecture is given."""
        super().__init__()
        if isinstance(base, Path):
            self.encoder = AutoModel.from_pretrained(str(base), add_pooling_layer=False)
        else:
            self.encoder = AutoModel.from_config(base, add_pooling_layer=False)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(self.encoder.config.hidden_size, WIDTH)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (batch, 27) of token ids (batch, length)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        return cast(Tensor, self.heads(self.dropout(pooled)))

    def freeze_embeddings(self) -> None:
        """The table is half of the weights and hardly moves in fine-tuning; freezing it saves a third of the time."""
        for weight in self.encoder.embeddings.parameters():
            weight.requires_grad = False


def loss(logits: Tensor, moment: Tensor, sentiment: Tensor, touchpoints: Tensor) -> Tensor:
    """Sum of the heads' losses for logits (n, 27).

    `moment` (n, 7) and `sentiment` (n, 3) are the target probabilities times the weight of the row, all zero where the
    post has no label for the head; `touchpoints` (n, 17) are probabilities, NaN where there is no label.
    """
    by_moment, by_sentiment, by_touchpoint = logits.float().split([7, 3, WIDTH - 10], dim=1)
    total = _cross_entropy(by_moment, moment) + _cross_entropy(by_sentiment, sentiment)
    known = ~touchpoints.isnan().any(dim=1)
    if known.any():
        # Summed over labels and scaled: a mean over 17 mostly empty columns would drown in the other two heads.
        cross_entropy = nn.functional.binary_cross_entropy_with_logits
        named = cross_entropy(by_touchpoint[known], touchpoints[known], reduction="none")
        total = total + 0.3 * named.sum(dim=1).mean()
    return total


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the rows that have a target; 0 when none has."""
    return -(targets * logits.log_softmax(dim=1)).sum() / (targets.sum(dim=1) > 0).sum().clamp(min=1)
