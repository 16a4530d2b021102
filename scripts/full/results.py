"""What a full-scale run has found so far, gathered in one folder and one archive."""

import json
import shutil
import subprocess
import sys
import tarfile


def gather(out, scorecard):
    """Gathers what there is: figures, scorecard, seconds of each, and the verdicts in both kinds of arithmetic."""
    folder = out / "results"
    folder.mkdir(exist_ok=True)
    made = sorted((out / "runs").glob("*.json"))
    for source in made:
        for path in [source, source.with_suffix(".csv"), source.with_suffix(".svg")]:
            if path.exists():
                shutil.copy2(path, folder)
    figures = [json.loads(path.read_text()) for path in made]
    (folder / "seconds.csv").write_text(seconds(figures))
    claims = subprocess.run(
        [sys.executable, scorecard, out / "runs"], check=True, capture_output=True, text=True
    )
    (folder / "scorecard.md").write_text(claims.stdout)
    plain = [json.loads(path.read_text()) for path in sorted((out / "runs-plain").glob("*.json"))]
    if plain:
        (folder / "arithmetic.md").write_text(arithmetic(figures, plain))
    archive = out / "results.tar.gz"
    with tarfile.open(archive.with_suffix(".part"), "w:gz") as tar:
        tar.add(folder, "results")
    archive.with_suffix(".part").replace(archive)


def seconds(figures):
    """What each figure took, and where. Runs that figures share count for each of them."""
    lines = ["figure,seeds,seconds,measuring,device,driver,precision,commit"]
    for figure in figures:
        made = figure["provenance"]
        words = [figure["id"], len(made["seeds"]), f"{made['seconds']:.1f}", f"{made['measuring']:.1f}"]
        words += [f'"{made.get(name) or ""}"' for name in ("device", "driver", "precision", "commit")]
        lines.append(",".join(map(str, words)))
    return "\n".join(lines) + "\n"


def arithmetic(figures, plain):
    """Claims of the same figures under two kinds of arithmetic."""
    precision = plain[0]["provenance"]["precision"]
    lines = [f"| figure | claim | f32 | | {precision} | |", "|---|---|---|---|---|---|"]
    for other in plain:
        own = next((figure for figure in figures if figure["id"] == other["id"]), None)
        for claim in other["claims"] if own else []:
            twin = next(found for found in own["claims"] if found["id"] == claim["id"])
            words = [other["id"], claim["text"], twin["verdict"], twin["ours"], claim["verdict"], claim["ours"]]
            lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"
