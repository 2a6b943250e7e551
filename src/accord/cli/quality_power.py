"""`accord quality power`: how many labels for which interval."""

from typing import Annotated

import typer

from accord.cli.quality_options import JsonOption, SeedOption, checked_choice
from accord.cli.render import print_json, print_table, print_text

MEASURES = ("win_rate", "alpha", "accuracy")


def power(
    measure: Annotated[
        str, typer.Option("--measure", help="What is to be known: win_rate, alpha or accuracy.")
    ] = "win_rate",
    items: Annotated[
        int | None, typer.Option("--items", help="Items; left out, they are looked for.", show_default=False)
    ] = None,
    labels: Annotated[
        int | None,
        typer.Option("--labels", help="Labels an item; left out, they are looked for.", show_default=False),
    ] = None,
    width: Annotated[
        float | None, typer.Option("--width", help="Wanted width of the interval.", show_default=False)
    ] = None,
    wanted_power: Annotated[
        float | None, typer.Option("--power", help="Wanted power of the test.", show_default=False)
    ] = None,
    difference: Annotated[
        float | None,
        typer.Option("--difference", help="Difference that is to be detected.", show_default=False),
    ] = None,
    arms: Annotated[
        int, typer.Option("--arms", help="1 tests against a number, 2 against a second collection.")
    ] = 1,
    share: Annotated[float, typer.Option("--share", help="Expected win rate.")] = 0.5,
    correlation: Annotated[
        float, typer.Option("--correlation", help="Correlation of two labels of one item, for win_rate.")
    ] = 0.3,
    skill: Annotated[
        float, typer.Option("--skill", help="Mean accuracy of the annotators, for alpha and accuracy.")
    ] = 0.7,
    annotators: Annotated[
        int, typer.Option("--annotators", help="How many there are, for alpha and accuracy.")
    ] = 50,
    classes: Annotated[int, typer.Option("--classes", help="How many, for alpha and accuracy.")] = 2,
    confidence: Annotated[float, typer.Option("--confidence", help="Of the interval.")] = 0.95,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say before collecting how wide the interval will be, or how much is needed for a given one.

    \b
    Examples:
      accord quality power --items 300 --labels 1
      accord quality power --share 0.55 --difference 0.05 --power 0.8
      accord quality power --measure accuracy --skill 0.75 --width 0.05 --json
    """
    from accord.pipeline.quality_power import power_design
    from accord.quality.deciding import plan_power

    name = checked_choice("--measure", measure, MEASURES)
    design = power_design(
        name, share=share, correlation=correlation, skill=skill, annotators=annotators, classes=classes
    )
    plan = plan_power(
        design,
        n_items=items,
        labels_an_item=labels,
        width=width,
        power=wanted_power,
        difference=difference,
        arms=arms,
        confidence=confidence,
        seed=seed,
    )
    if as_json:
        print_json(plan)
        return
    rows = [
        ("items", plan.n_items),
        ("labels an item", plan.labels_an_item),
        ("labels in all", plan.n_labels),
        ("expected value", plan.value),
        (f"width of the {confidence:.0%} interval", plan.width),
        ("power", plan.power),
        ("design effect", plan.design_effect),
    ]
    print_table(("", name.replace("_", " ")), [(what, value) for what, value in rows], title=plan.method)
    if plan.reason:
        print_text(plan.reason)
