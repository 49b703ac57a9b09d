"""Pictures of what was measured: plotly figures that need no network, no theme, and no eye for red and green.

One picture a file, from records only. Every value is drawn with its 95 % interval where it has one, and beside each
picture stands a table of the same values. `pictures(run)` is all that there is to see of one run.
"""

from tools.figures.agreement import agreement_matrix, agreement_table
from tools.figures.before_after import before_after, before_after_table
from tools.figures.candidates import candidate_table, candidates
from tools.figures.compared import compared_ranks, differences
from tools.figures.deletion import deletion_curves, deletion_table
from tools.figures.frontier import frontier, frontier_table
from tools.figures.live import live_curve
from tools.figures.of_run import Picture, pictures, pictures_of_data, pictures_of_several
from tools.figures.precisions import precision_table, precisions
from tools.figures.score_map import score_map
from tools.figures.scores import score_table, scores_with_intervals
from tools.figures.tower import tower, tower_table
from tools.figures.training import epoch_table, training_curve
from tools.figures.translating import translated
from tools.figures.values import Values

__all__ = [
    "Picture",
    "Values",
    "agreement_matrix",
    "agreement_table",
    "before_after",
    "before_after_table",
    "candidate_table",
    "candidates",
    "compared_ranks",
    "deletion_curves",
    "deletion_table",
    "differences",
    "epoch_table",
    "frontier",
    "frontier_table",
    "live_curve",
    "pictures",
    "pictures_of_data",
    "pictures_of_several",
    "precision_table",
    "precisions",
    "score_map",
    "score_table",
    "scores_with_intervals",
    "tower",
    "tower_table",
    "training_curve",
    "translated",
]
