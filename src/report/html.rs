//! The page: verdicts first, then every figure with its claims and its origin. One file, no script.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::plots;
use crate::error::Result;
use crate::store::{Claim, Figure, Provenance, Verdict, natural_order};

const STYLE: &str = include_str!("page.css");

/// The words a reader of the figures needs, one line each.
const GLOSSARY: [(&str, &str); 9] = [
    (
        "RPD",
        "Rank probability distribution: how the samples of one class spread over the ranks when all samples \
         are sorted by a neuron's local field, taken with the sign of its L-map weight for the class; flat means no preference.",
    ),
    (
        "Gradient",
        "Minus the slope of the RPD: positive when the samples of a class crowd the high ranks, 0 when flat.",
    ),
    (
        "OPT, NPT",
        "Order-preserving and non-order-preserving transformation: whether a neuron's output ranks the samples \
         as its input does; a steep RPD means OPT, which is effectively linear.",
    ),
    (
        "L-map",
        "The linear map that is left when the activations behind a layer are replaced by the identity.",
    ),
    ("LP", "Linear perceptron: the least-squares map from a layer's activity to the network's own outputs."),
    (
        "Basin",
        "Attraction basin: the noise, on samples or on weights, at which the accuracy of training samples \
         falls through one half.",
    ),
    (
        "eval, batch",
        "Batch norm with its running statistics, or with the statistics of the measured samples themselves.",
    ),
    ("Grokking", "Test accuracy that rises long after the training samples are learnt."),
    ("Quick, full", "The scale of a run: minutes on two processor cores, or the setting of the papers."),
];

/// The whole page.
pub(super) fn page(figures: &[Figure]) -> Result<String> {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>netdyn report: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        plural(figures.len(), "figure")
    );
    header(&mut out, figures);
    scorecard(&mut out, figures);
    out += "<main>\n<h2 id=\"figures\">Figures</h2>\n<nav aria-label=\"Figures\"><p>";
    for figure in figures {
        let _ = writeln!(out, "<a href=\"#{id}\">{id}</a>", id = escape(&figure.id));
    }
    out += "</p></nav>\n";
    for figure in figures {
        article(&mut out, figure)?;
    }
    out += "</main>\n";
    glossary(&mut out);
    reproduce(&mut out, figures);
    out += "</body>\n</html>\n";
    Ok(out)
}

/// Text made safe for HTML and XML, in attributes too; control characters, which XML forbids, are dropped.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            '\n' | '\t' => safe.push(' '),
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

/// What, where, when.
fn header(out: &mut String, figures: &[Figure]) {
    let distinct = |of: fn(&Figure) -> &str| {
        let all: BTreeSet<&str> = figures.iter().map(of).filter(|text| !text.is_empty()).collect();
        escape(&all.into_iter().collect::<Vec<_>>().join(", "))
    };
    // RFC 3339 dates of one zone sort as text.
    let dates: BTreeSet<&str> = figures.iter().map(|figure| day(&figure.provenance.date)).collect();
    let when = match (dates.first(), dates.last()) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(day), _) => (*day).to_owned(),
        _ => String::new(),
    };
    let facts = [
        ("Scale", distinct(|figure| &figure.scale)),
        ("Data", distinct(|figure| &figure.provenance.data)),
        ("Device", distinct(|figure| &figure.provenance.device)),
        ("Finished", escape(&when)),
        ("Version", distinct(|figure| &figure.provenance.version)),
    ];
    *out += "<header>\n<h1>How networks learn: the papers’ figures, reproduced</h1>\n";
    let _ = writeln!(
        out,
        "<p>{} of two papers on rank distributions, linear maps and attraction basins of fully connected \
         networks, made by <code>netdyn</code>. Paper A is arXiv:2501.02436v4, paper B an earlier version of it. Every \
         claim below is decided by code on the figure’s own data.</p>",
        plural(figures.len(), "figure")
    );
    list_facts(out, &facts);
    *out += "</header>\n";
}

/// All claims in the order of their numbers.
fn scorecard(out: &mut String, figures: &[Figure]) {
    let mut claims: Vec<(&Figure, &Claim)> =
        figures.iter().flat_map(|figure| figure.claims.iter().map(move |claim| (figure, claim))).collect();
    claims.sort_by(|(_, a), (_, b)| natural_order(&a.id).cmp(&natural_order(&b.id)));
    // Two figures that check one claim on the same numbers give it one row.
    let mut rows: Vec<(Vec<&Figure>, &Claim)> = Vec::new();
    for (figure, claim) in claims {
        match rows.last_mut() {
            Some((figures, last)) if *last == claim => figures.push(figure),
            _ => rows.push((vec![figure], claim)),
        }
    }

    *out += "<section>\n<h2 id=\"claims\">Claims</h2>\n";
    if rows.is_empty() {
        *out += "<p>These figures check no claim.</p>\n</section>\n";
        return;
    }
    *out += "<ul class=\"counts\">\n";
    for verdict in [Verdict::Held, Verdict::NotHeld, Verdict::Undecided] {
        let count = rows.iter().filter(|(_, claim)| claim.verdict == verdict).count();
        let (class, name) = names(verdict);
        let _ = writeln!(out, "<li class=\"{class}\"><b>{count}</b>{name}</li>");
    }
    *out += "</ul>\n<div class=\"scroll\" role=\"region\" aria-labelledby=\"claims\" tabindex=\"0\">\n<table>\n\
             <thead><tr><th scope=\"col\">No.</th><th scope=\"col\">Verdict</th><th scope=\"col\">Statement</th>\
             <th scope=\"col\">Paper</th><th scope=\"col\">Here</th><th scope=\"col\">Figure</th></tr></thead>\n<tbody>\n";
    for (figures, claim) in rows {
        let (class, name) = names(claim.verdict);
        let link = |figure: &&Figure| format!("<a href=\"#{id}\">{id}</a>", id = escape(&figure.id));
        let links: Vec<String> = figures.iter().map(link).collect();
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"verdict {class}\">{name}</td><td class=\"statement\">{}</td>\
             <td class=\"value\">{}</td><td class=\"value\">{}</td><td>{}</td></tr>",
            escape(&claim.id),
            escape(&claim.text),
            claim.paper.as_deref().map_or("–".into(), escape),
            escape(&claim.ours),
            links.join(" "),
        );
    }
    *out += "</tbody>\n</table>\n</div>\n</section>\n";
}

/// One figure.
fn article(out: &mut String, figure: &Figure) -> Result<()> {
    let id = escape(&figure.id);
    let _ = writeln!(out, "<article id=\"{id}\">\n<h3>{id} · {}</h3>", escape(&figure.title));
    paragraph(out, "source", "", &figure.source);
    paragraph(out, "down", "<b>Scaled down:</b> ", &figure.scaled_down);
    let _ = writeln!(out, "<div class=\"picture\">\n{}</div>", plots::inline_svg(figure)?);
    paragraph(out, "caption", "", &figure.caption);
    if figure.scene.is_some() {
        let _ = writeln!(out, "<p><a href=\"{id}.html\">Turn it in three dimensions</a></p>");
    }
    let dropped = plots::dropped(figure);
    if dropped > 0 {
        let what = "could not be drawn: not finite, or not positive on a logarithmic axis";
        paragraph(out, "muted", "", &format!("{} {what}.", plural(dropped, "value")));
    }
    claims(out, &figure.claims);
    *out += "<h4>How it was made</h4>\n";
    list_facts(out, &facts(figure));
    *out += "<p>";
    let of_scene = figure.scene.iter().map(|_| "html");
    for (i, kind) in ["csv", "svg", "png", "json"].into_iter().chain(of_scene).enumerate() {
        let dot = if i > 0 { " · " } else { "" };
        let _ = write!(out, "{dot}<a href=\"{id}.{kind}\">{id}.{kind}</a>");
    }
    *out += "</p>\n</article>\n";
    Ok(())
}

fn claims(out: &mut String, claims: &[Claim]) {
    if claims.is_empty() {
        return;
    }
    *out += "<h4>Claims</h4>\n<ul class=\"claims\">\n";
    for claim in claims {
        let (class, name) = names(claim.verdict);
        let paper = claim.paper.as_ref().map_or(String::new(), |paper| format!("Paper: {}. ", escape(paper)));
        let _ = writeln!(
            out,
            "<li class=\"{class}\"><b>Claim {}</b> · <span class=\"verdict\">{name}</span><p>{}</p><p>{paper}Here: {}.</p><p class=\"muted\">{}</p></li>",
            escape(&claim.id),
            escape(&claim.text),
            escape(claim.ours.trim_end_matches('.')),
            escape(&claim.reason),
        );
    }
    *out += "</ul>\n";
}

/// Setting and provenance, as HTML.
fn facts(figure: &Figure) -> [(&'static str, String); 10] {
    let Provenance {
        version,
        commit,
        device,
        driver,
        precision,
        threads,
        data,
        sha256,
        seeds,
        bn,
        seconds,
        measuring,
        date,
        command,
    } = &figure.provenance;
    let commit = commit.as_ref().map_or(String::new(), |commit| format!(", commit {}", shortened(commit)));
    let sums: Vec<String> = sha256.iter().map(|sum| shortened(sum)).collect();
    let sums = if sums.is_empty() { String::new() } else { format!(" (SHA-256 {})", sums.join(", ")) };
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let threads = if *threads == 0 { String::new() } else { format!(", {}", plural(*threads, "thread")) };
    let driver = driver.as_ref().map_or(String::new(), |driver| format!(", driver {driver}"));
    let precision = if precision.is_empty() { String::new() } else { format!(", {precision}") };
    let code =
        |text: &str| if text.is_empty() { String::new() } else { format!("<code>{}</code>", escape(text)) };
    [
        ("Setting", escape(&figure.setting)),
        ("Scale", escape(&figure.scale)),
        ("Device", escape(&format!("{device}{driver}{precision}{threads}"))),
        ("Data", format!("{}{sums}", escape(data))),
        ("Seeds", seeds.join(", ")),
        ("Batch norm", escape(bn)),
        ("Run time", format!("{}, of which {} for measuring", duration(*seconds), duration(*measuring))),
        ("Finished", escape(date)),
        ("Version", format!("{}{commit}", escape(version))),
        ("Command", code(command)),
    ]
}

fn glossary(out: &mut String) {
    *out += "<section>\n<h2 id=\"glossary\">Words</h2>\n<dl class=\"glossary\">\n";
    for (word, meaning) in GLOSSARY {
        let _ = writeln!(out, "<dt>{word}</dt><dd>{meaning}</dd>");
    }
    *out += "</dl>\n</section>\n";
}

fn reproduce(out: &mut String, figures: &[Figure]) {
    let mut commands: Vec<&str> = Vec::new();
    for figure in figures {
        let command = figure.provenance.command.as_str();
        if !command.is_empty() && !commands.contains(&command) {
            commands.push(command);
        }
    }
    *out += "<section>\n<h2 id=\"again\">To make it again</h2>\n\
             <p>Each figure’s command is given with it; all of them, in order:</p>\n<pre tabindex=\"0\"><code>";
    for command in commands {
        *out += &escape(command);
        out.push('\n');
    }
    *out += "</code></pre>\n<p><code>netdyn reproduce --list</code> names all figures, <code>--scale full</code> \
             takes the papers’ own sizes, <code>--seeds N</code> adds error bands, and <code>netdyn report DIR</code> \
             redraws this page from the stored results without computing anything.</p>\n</section>\n";
}

/// A paragraph of plain text behind a lead of HTML; nothing for an empty text.
fn paragraph(out: &mut String, class: &str, lead: &str, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(out, "<p class=\"{class}\">{lead}{}</p>", escape(text));
    }
}

/// Names and values, both HTML; empty values are left out.
fn list_facts(out: &mut String, facts: &[(&str, String)]) {
    *out += "<dl class=\"facts\">\n";
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{value}</dd>");
    }
    *out += "</dl>\n";
}

/// Class and words of a verdict.
fn names(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Held => ("held", "✓ held"),
        Verdict::NotHeld => ("not_held", "✗ not held"),
        Verdict::Undecided => ("undecided", "? undecided"),
    }
}

/// The start of a checksum, the whole of it behind it.
fn shortened(sum: &str) -> String {
    let start: String = sum.chars().take(12).collect();
    let dots = if start.len() < sum.len() { "…" } else { "" };
    format!("<code title=\"{}\">{}{dots}</code>", escape(sum), escape(&start))
}

/// The day of an RFC 3339 date.
fn day(date: &str) -> &str {
    date.split('T').next().unwrap_or(date)
}

/// `2 h 5 min`, `3 min 20 s`, `4.2 s`; empty if unknown.
fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds <= 0.0 {
        return String::new();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

fn plural(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
