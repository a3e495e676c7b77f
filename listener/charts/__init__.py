"""Pictures of the figures: one Vega-Lite specification each, for the mail (PNG), `trends --plot` and the page.

A specification is a plain dictionary. What comes from outside is in it as data only: no field, expression or signal is
ever made of it. `spec["description"]` says in words what is seen. Below a width of 480 pixels there is no room for the
words: draw it wider there and let it be scaled.
"""

from listener.charts.brands import net as net
from listener.charts.brands import voice as voice
from listener.charts.drawing import can_draw as can_draw
from listener.charts.drawing import check as check
from listener.charts.drawing import html as html
from listener.charts.drawing import png as png
from listener.charts.drawing import svg as svg
from listener.charts.impacts import impacts as impacts
from listener.charts.looks import LOOKS as LOOKS
from listener.charts.looks import Spec as Spec
from listener.charts.looks import Theme as Theme
from listener.charts.looks import stacked as stacked
from listener.charts.mailed import Picture as Picture
from listener.charts.mailed import digest_charts as digest_charts
from listener.charts.shares import phases as phases
from listener.charts.shares import whose as whose
from listener.charts.sides import journey as journey
from listener.charts.sides import sentiment as sentiment
from listener.charts.sides import touchpoints as touchpoints
from listener.charts.spark import sparkline as sparkline
