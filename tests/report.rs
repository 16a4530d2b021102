//! Stored figures, and what is drawn from them.

use std::fs;
use std::path::Path;

use netdyn::Error;
use netdyn::report;
use netdyn::store::{
    Axis, Claim, Figure, Image, Mark, Plane, Provenance, Scene, ScenePoint, Series, Style, Verdict,
    natural_order, read_all,
};
use proptest::prelude::*;
use tempfile::tempdir;

/// A figure with everything in it, and text that is markup if nobody escapes it.
fn full(id: &str) -> Figure {
    let points: Vec<(f64, f64)> =
        (1..=40).map(|i| (10f64.powf(f64::from(i) / 8.0), 1.0 / 3.0 + f64::from(i))).collect();
    let mut curve = Series::new("a <b>bold</b> & \"quoted\" curve", Style::Line, 0, &points);
    curve.error = Some((0..40).map(|i| (i % 7 > 0).then_some(0.1 * f64::from(i))).collect());
    curve.y[5] = None;
    let mut right = Series::new("right", Style::Dashed, 1, &points);
    right.right = true;
    Figure {
        source: "Paper A, Fig. 2(a)".into(),
        caption: "Look for x < y.".into(),
        setting: "784-16-10".into(),
        scale: "quick".into(),
        scaled_down: "600 of 60,000 samples".into(),
        y_right: Some(Axis::log("norm")),
        series: vec![curve, right],
        marks: vec![Mark { x: 100.0, label: "here & now".into() }, Mark { x: 110.0, label: "there".into() }],
        claims: vec![
            claim("10", Verdict::NotHeld),
            claim("2", Verdict::Held),
            claim("1a", Verdict::Undecided),
        ],
        provenance: Provenance {
            version: "0.1.0".into(),
            device: "a <processor>".into(),
            driver: Some("1.2.3".into()),
            sha256: vec!["0123456789abcdef0123456789abcdef".into()],
            seeds: vec![0, 1],
            seconds: 75.0,
            date: "2026-01-02T03:04:05Z".into(),
            command: format!("netdyn reproduce {id}"),
            ..Provenance::default()
        },
        ..Figure::new(id, "Title with <markup>", Axis::log("step"), Axis::linear("accuracy"))
    }
}

fn claim(id: &str, verdict: Verdict) -> Claim {
    Claim {
        id: id.into(),
        text: format!("Statement {id} <i>."),
        paper: Some("97 %".into()),
        ours: "96 ± 1 %".into(),
        verdict,
        reason: "<script>alert(1)</script>".into(),
    }
}

/// A bare figure with one series.
fn plain(x: Axis, y: Axis, style: Style, points: &[(f64, f64)]) -> Figure {
    let series = vec![Series::new("series", style, 0, points)];
    Figure { series, ..Figure::new("X1a", "odd", x, y) }
}

#[test]
fn a_figure_comes_back_as_it_was_written() {
    let dir = tempdir().unwrap();
    let mut figure = full("A2a");
    figure.series[0].y[0] = Some(0.1 + 0.2); // not the shortest of decimals
    let path = figure.write(dir.path()).unwrap();
    assert_eq!(path, dir.path().join("A2a.json"));
    assert_eq!(Figure::read(&path).unwrap(), figure);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a partial file was left");
}

#[test]
fn a_figure_with_nan_stays_readable() {
    let dir = tempdir().unwrap();
    let points = [(f64::NAN, 1.0), (1.0, f64::NAN), (2.0, f64::INFINITY)];
    let mut figure = plain(Axis::linear("x"), Axis::linear("y"), Style::Line, &points);
    figure.provenance.seconds = f64::NAN;
    let back = Figure::read(&figure.write(dir.path()).unwrap()).unwrap();
    assert!(back.series[0].x[0].is_nan());
    assert_eq!(back.series[0].y, [Some(1.0), None, None]);
}

#[test]
fn an_id_that_is_no_file_name_is_refused() {
    let dir = tempdir().unwrap();
    for id in ["", "../A2a", "a b", "A2a.json"] {
        assert!(full(id).write(dir.path()).is_err(), "{id:?}");
    }
}

#[test]
fn figures_stand_in_the_order_of_the_papers() {
    let order = ["A2a", "A2b", "A3a", "A3j", "A10a", "B2a", "B10", "B11", "S1", "S4"];
    let dir = tempdir().unwrap();
    for id in order.iter().rev() {
        full(id).write(dir.path()).unwrap();
    }
    let read: Vec<String> = read_all(dir.path()).unwrap().into_iter().map(|figure| figure.id).collect();
    assert_eq!(read, order);
    assert!(natural_order("1a") < natural_order("1b"));
    assert!(natural_order("2") < natural_order("10"));
}

#[test]
fn a_damaged_figure_is_named() {
    let dir = tempdir().unwrap();
    full("A2a").write(dir.path()).unwrap();
    let whole = fs::read_to_string(full("A2b").write(dir.path()).unwrap()).unwrap();
    let renamed = whole.replace("A2b", "A2c");
    let newer = whole.replace("figure/1", "figure/2");
    let lacking = whole.replace("\"caption\"", "\"motto\"");
    for damaged in [&whole[..whole.len() / 2], "", "{}", "[1, 2]", &renamed, &newer, &lacking] {
        fs::write(dir.path().join("A2b.json"), damaged).unwrap();
        let error = report::build(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 3, "{error}");
        assert!(matches!(&error, Error::File { file, .. } if file.ends_with("A2b.json")), "{error}");
    }
}

#[test]
fn a_folder_without_figures_names_the_command() {
    let dir = tempdir().unwrap();
    let error = report::build(dir.path()).unwrap_err();
    assert!(error.to_string().contains("netdyn reproduce"), "{error}");
    assert!(matches!(report::build(&dir.path().join("absent")), Err(Error::Io { .. })));
}

#[test]
fn the_page_stands_alone_and_shows_text_as_text() {
    let dir = tempdir().unwrap();
    full("A2a").write(dir.path()).unwrap();
    full("B2a").write(dir.path()).unwrap();
    let path = report::build(dir.path()).unwrap();
    assert_eq!(path, dir.path().join("report.html"));
    let page = fs::read_to_string(path).unwrap();

    for load in ["http:", "https:", "src=", "url(", "@import", "<script", "<link", "<img", "<iframe"] {
        assert!(!page.contains(load), "the page contains {load}");
    }
    for markup in ["<b>bold", "<markup>", "<processor>", "<i>"] {
        assert!(!page.contains(markup), "unescaped: {markup}");
    }
    assert!(page.contains("Title with &lt;markup&gt;"));
    // XML is stricter than HTML: every element of the page is closed, but for the void ones.
    let strict = page
        .replacen("<!DOCTYPE html>", "", 1)
        .replace("-8\">", "-8\"/>")
        .replace("scale=1\">", "scale=1\"/>");
    let tree = roxmltree::Document::parse(&strict).unwrap();

    let ids: Vec<&str> = tree.descendants().filter_map(|node| node.attribute("id")).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "an id is used twice: {ids:?}");
    for link in tree.descendants().filter_map(|node| node.attribute("href")) {
        match link.strip_prefix('#') {
            Some(id) => assert!(ids.contains(&id), "{link} leads nowhere"),
            None => assert!(dir.path().join(link).exists(), "{link} leads nowhere"),
        }
    }
    for picture in tree.descendants().filter(|node| node.has_tag_name("svg")) {
        assert_eq!(picture.attribute("role"), Some("img"));
        assert!(picture.children().any(|node| node.has_tag_name("title")));
    }
    let row = |node: &roxmltree::Node| node.has_tag_name("th") && node.attribute("scope") == Some("row");
    let claims: Vec<_> = tree.descendants().filter(row).filter_map(|node| node.text()).collect();
    // Both figures of this page check the same claims on the same numbers: one row each.
    assert_eq!(claims, ["1a", "2", "10"]);
}

#[test]
fn the_table_has_a_row_for_every_point() {
    let dir = tempdir().unwrap();
    full("A2a").write(dir.path()).unwrap();
    report::build(dir.path()).unwrap();
    let mut table = csv::Reader::from_path(dir.path().join("A2a.csv")).unwrap();
    assert_eq!(table.headers().unwrap(), &["series", "x", "y", "error"][..]);
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 80);
    assert_eq!(&rows[5][2], "", "a gap");
    assert_eq!(&rows[7][3], "", "no error");
    assert_eq!(rows[8][2].parse(), Ok(1.0 / 3.0 + 9.0));
    assert_eq!(&rows[0][0], "a <b>bold</b> & \"quoted\" curve");
}

#[test]
fn only_what_is_missing_or_older_is_drawn_again() {
    let dir = tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    full("A2a").write(dir.path()).unwrap();
    report::build(dir.path()).unwrap();
    fs::write(file("A2a.svg"), "newer than the figure").unwrap();
    fs::remove_file(file("A2a.png")).unwrap();
    report::build(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(file("A2a.svg")).unwrap(), "newer than the figure");
    assert!(file("A2a.png").exists());

    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(file("A2a.svg")).unwrap().set_modified(old).unwrap();
    report::build(dir.path()).unwrap();
    roxmltree::Document::parse(&fs::read_to_string(file("A2a.svg")).unwrap()).unwrap();
}

#[test]
fn small_pictures_stand_below_the_plot() {
    let dir = tempdir().unwrap();
    let image = |pixels: Vec<u8>| Image { caption: "a <digit>".into(), width: 4, pixels };
    let plain = plain(Axis::linear("x"), Axis::linear("y"), Style::Line, &[(0.0, 1.0), (1.0, 2.0)]);
    let with = |images: Vec<Image>| Figure { images, ..plain.clone() };
    let height = |text: &str| -> f64 {
        let tree = roxmltree::Document::parse(text).unwrap();
        tree.root_element().attribute("height").unwrap().parse().unwrap()
    };
    let before = svg(dir.path(), &plain);
    // Two rows of one grey each are two rectangles, a chequered one is four.
    let after = svg(dir.path(), &with(vec![image([[7; 4], [9; 4], [1, 2, 1, 2]].concat())]));
    assert_eq!(after.matches("<polygon").count() - before.matches("<polygon").count(), 6);
    assert!(after.contains("a &lt;digit&gt;") && height(&before) == 560.0);
    let ten = svg(dir.path(), &with(vec![image(vec![0; 16]); 10]));
    assert!(
        height(&before) < height(&after) && height(&after) < height(&ten),
        "two rows are higher than one"
    );
    // Pictures without pixels take no room, and a last row may be cut short.
    assert_eq!(height(&svg(dir.path(), &with(vec![image(vec![])]))), 560.0);
    let odd = Image { caption: "word ".repeat(50), width: 1000, pixels: vec![3; 1001] };
    svg(dir.path(), &with(vec![odd, Image { width: 0, ..image(vec![1]) }]));
    report::plot(&dir.path().join("some.png"), &with(vec![image(vec![200; 15])])).unwrap();
}

#[test]
fn small_plots_stand_below_the_plot() {
    let dir = tempdir().unwrap();
    let plain = plain(Axis::linear("x"), Axis::linear("y"), Style::Line, &[(0.0, 1.0), (1.0, 2.0)]);
    let region = Series::new("region of a", Style::Region, 2, &[(0.0, 0.0), (2.0, 0.0), (1.0, 3.0)]);
    let points = Series::new("points <a>", Style::Points, 2, &[(0.5, 0.5), (1.0, 1.0), (9.0, 0.5)]);
    let plane =
        |caption: &str| Plane { caption: caption.into(), series: vec![region.clone(), points.clone()] };
    let with = |planes: Vec<Plane>| Figure { planes, ..plain.clone() };
    let height = |text: &str| -> f64 {
        roxmltree::Document::parse(text).unwrap().root_element().attribute("height").unwrap().parse().unwrap()
    };
    let before = svg(dir.path(), &plain);
    let four = svg(dir.path(), &with(["one", "two", "three", "four"].map(plane).to_vec()));
    // One name for the points of all, none for what they lie in, four captions.
    assert_eq!((four.matches("points &lt;a&gt;").count(), four.matches("region of a").count()), (1, 0));
    assert!(["one", "two", "three", "four"].iter().all(|caption| four.contains(caption)));
    let five = svg(dir.path(), &with(vec![plane("again"); 5]));
    assert!(height(&before) < height(&four) && height(&four) < height(&five), "two rows are higher than one");
    let none = Plane { caption: "none".into(), series: vec![] };
    assert_eq!(height(&svg(dir.path(), &with(vec![none]))), height(&before));
    report::plot(&dir.path().join("some.png"), &with(vec![plane("one")])).unwrap();

    with(vec![plane("one")]).write(dir.path()).unwrap();
    report::build(dir.path()).unwrap();
    let table = fs::read_to_string(dir.path().join(format!("{}.csv", plain.id))).unwrap();
    assert!(
        table.contains("one: region of a,2,0,\n") && table.contains("one: points <a>,9,0.5,\n"),
        "{table}"
    );
}

#[test]
fn a_long_legend_names_no_thin_variants() {
    let dir = tempdir().unwrap();
    let mut figure = plain(Axis::linear("digit"), Axis::linear("y"), Style::Line, &[(0.0, 1.0), (9.0, 2.0)]);
    figure.series.clear();
    for digit in 0..8 {
        let points = [(0.0, digit as f64), (9.0, 9.0)];
        figure.series.push(Series::new(format!("digit {digit}"), Style::Line, digit, &points));
        figure.series.push(Series::new(format!("digit {digit}, batch mode"), Style::Thin, digit, &points));
    }
    let long = svg(dir.path(), &figure);
    assert!(long.contains("digit 7") && !long.contains("batch mode"));
    // Ten whole numbers have ten labels.
    let ticks = |text: &str| (0..10).filter(|n| text.contains(&format!(">\n{n}\n<"))).count();
    assert_eq!(ticks(&long), 10, "{long}");
    figure.series.truncate(4);
    assert!(svg(dir.path(), &figure).contains("digit 1, batch mode"));
}

#[test]
fn points_in_space_have_a_page_that_no_text_breaks() {
    let dir = tempdir().unwrap();
    let point = |at, color, label: &str| ScenePoint { at, color, label: label.into(), large: false };
    let evil = "</script><script>alert(1)</script> <!-- & \"quoted\" \\ {{data}} ü";
    let scene = Scene {
        axes: [evil.into(), "y".into(), "z".into()],
        points: vec![point([0.1, -2.0, 3.5], 1, evil), point([1e300, 0.0, 0.0], 0, "too far")],
    };
    let mut figure = Figure { scene: Some(scene), caption: evil.into(), ..full("A2a") };
    figure.series.push(Series::new(evil, Style::Points, 1, &[(1.0, 1.0)]));
    figure.write(dir.path()).unwrap();
    full("A2b").write(dir.path()).unwrap();
    let report = fs::read_to_string(report::build(dir.path()).unwrap()).unwrap();
    assert!(report.contains("href=\"A2a.html\"") && !report.contains("A2b.html"));
    assert!(!dir.path().join("A2b.html").exists());

    let page = fs::read_to_string(dir.path().join("A2a.html")).unwrap();
    for load in
        ["http:", "https:", "src=", "url(", "@import", "<link", "<img", "<iframe", "import(", "fetch("]
    {
        assert!(!page.contains(load), "the page contains {load}");
    }
    let (head, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let (data, rest) = rest.split_once("</script>").unwrap();
    let (between, rest) = rest.split_once("<script>").unwrap();
    let (code, tail) = rest.split_once("</script>").unwrap();
    assert!(code.contains("requestAnimationFrame") && !tail.contains("script"));
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["points"].as_array().unwrap().len(), 1);
    assert_eq!(data["points"][0]["label"], evil);
    assert_eq!(data["points"][0]["at"].as_array().unwrap().len(), 3);
    assert_eq!((&data["axes"][0], &data["names"]["1"]), (&evil.into(), &evil.into()));
    assert_eq!(data["colors"][1], "#d55e00");
    let strict = [head, between, tail]
        .concat()
        .replacen("<!DOCTYPE html>", "", 1)
        .replace("-8\">", "-8\"/>")
        .replace("scale=1\">", "scale=1\"/>");
    roxmltree::Document::parse(&strict).unwrap();
}

#[test]
fn a_plot_takes_its_format_from_the_name() {
    let dir = tempdir().unwrap();
    let figure = full("A2a");
    let draw = |name: &str| {
        report::plot(&dir.path().join(name), &figure).map(|()| fs::read(dir.path().join(name)).unwrap())
    };
    assert!(draw("plot.svg").unwrap().starts_with(b"<svg xmlns=\"http://www.w3.org/2000/svg\" "));
    let png = draw("plot.PNG").unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((size(16), size(20)), (1800, 1120));
    for name in ["plot.pdf", "plot"] {
        assert!(matches!(draw(name), Err(Error::Usage(_))), "{name}");
    }
    let missing = dir.path().join("no").join("folder.svg");
    assert!(matches!(report::plot(&missing, &figure), Err(Error::Io { .. })));
}

#[test]
fn odd_data_draws_in_both_formats() {
    let (lin, log) = (|| Axis::linear("x"), || Axis::log("y"));
    let nan = f64::NAN;
    let mut bare = Figure::new("", "", Axis::linear(""), Axis::linear(""));
    let mut uneven = plain(lin(), lin(), Style::Line, &[(0.0, 1.0), (1.0, 2.0), (2.0, 1.0)]);
    uneven.series[0].y.pop();
    uneven.series[0].error = Some(vec![Some(nan)]);
    let mut crowd = bare.clone();
    crowd.series = (0..70)
        .map(|i| Series::new(format!("layer {i}"), Style::Line, i, &[(0.0, i as f64), (1.0, 2.0)]))
        .collect();
    crowd.marks = (0..30).map(|i| Mark { x: f64::from(i) / 30.0, label: "mark ".repeat(9) }).collect();
    let mut wordy = full("A2a");
    wordy.title = "long ".repeat(60);
    wordy.scaled_down = "reduced\u{0}\n ".repeat(90);
    wordy.x.label = "unbroken".repeat(40);
    wordy.y.label = "label ".repeat(80);
    wordy.series[0].label = "unbroken".repeat(40);
    bare.series = vec![Series::new("", Style::Points, usize::MAX, &[])];

    let figures = [
        Figure::new("A1", "no series", lin(), log()),
        bare,
        uneven,
        crowd,
        wordy,
        plain(lin(), log(), Style::Line, &[(3.0, 7.0)]),
        plain(lin(), lin(), Style::LinePoints, &[(1.0, 0.9), (2.0, 0.9), (3.0, 0.9)]),
        plain(log(), log(), Style::Dashed, &[(0.0, 1.0), (-1.0, 2.0), (1.0, 0.0), (2.0, -0.5)]),
        plain(lin(), lin(), Style::Line, &[(-1e308, 1e308), (1e308, -1e308), (0.0, 1e-308)]),
        plain(log(), log(), Style::Points, &[(1e-300, 1e300), (1e300, 1e-270), (5e-324, 1.0)]),
        plain(log(), log(), Style::Line, &[(1e280, 1e-200), (1.1e280, 1.1e-200)]),
        plain(lin(), lin(), Style::Line, &[(nan, 1.0), (1.0, nan), (f64::INFINITY, 1.0), (2.0, 1.0)]),
        plain(lin().within(nan, 1.0), log().within(0.0, 1.0), Style::Line, &[(0.0, 1.0), (1.0, 2.0)]),
        plain(lin().within(2.0, 1.0), log().within(1.0, 1.0), Style::Thin, &[(0.0, 1.0), (1.0, 2.0)]),
        plain(lin().within(0.0, 1e-9), lin(), Style::Line, &[(-1e300, 1.0), (1e300, 2.0)]),
    ];
    let dir = tempdir().unwrap();
    for (i, figure) in figures.iter().enumerate() {
        svg(dir.path(), figure);
        report::plot(&dir.path().join(format!("{i}.png")), figure).unwrap();
    }
}

#[test]
fn values_without_a_place_are_counted() {
    let dir = tempdir().unwrap();
    let points = [(0.0, 1.0), (1.0, 2.0), (2.0, -3.0), (4.0, 5.0)];
    let figure = plain(Axis::log("x"), Axis::log("y"), Style::Line, &points);
    assert!(svg(dir.path(), &figure).contains("2 values that are not finite or not positive"));
    figure.write(dir.path()).unwrap();
    let page = fs::read_to_string(report::build(dir.path()).unwrap()).unwrap();
    assert!(page.contains("2 values could not be drawn"));
}

#[test]
fn ticks_read_as_one_would_write_them() {
    let dir = tempdir().unwrap();
    let ticks = |x: Axis, points: &[(f64, f64)]| -> Vec<String> {
        let text = svg(dir.path(), &plain(x, Axis::linear("y").within(0.0, 1.0), Style::Line, points));
        let tree = roxmltree::Document::parse(&text).unwrap();
        // The tick labels of the horizontal axis are centred; so is its own label, and nothing else here.
        let centred = |node: &roxmltree::Node| {
            node.attribute("text-anchor") == Some("middle") && node.attribute("transform").is_none()
        };
        tree.descendants()
            .filter(centred)
            .map(|node| node.text().unwrap().trim().to_owned())
            .filter(|text| !text.starts_with("no data"))
            .collect()
    };
    assert_eq!(ticks(Axis::log("n"), &[(60.0, 0.0), (60_000.0, 1.0)]), ["10²", "10³", "10⁴", "n"]);
    assert_eq!(ticks(Axis::log("n"), &[(0.002, 0.0), (0.7, 1.0)]), ["10⁻²", "10⁻¹", "n"]);
    assert_eq!(ticks(Axis::log("n").within(10.0, 90.0), &[]), ["10", "20", "50", "n"]);
    assert_eq!(
        ticks(Axis::linear("n").within(0.0, 1.0), &[]),
        ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0", "n"]
    );
    assert_eq!(
        ticks(Axis::linear("n").within(-50_000.0, 100_000.0), &[]),
        ["−50,000", "−25,000", "0", "25,000", "50,000", "75,000", "100,000", "n"]
    );
    assert_eq!(
        ticks(Axis::linear("n").within(0.0, 2e9), &[]),
        ["0.0", "0.5", "1.0", "1.5", "2.0", "n (×10⁹)"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the numbers, the picture is a valid document.
    #[test]
    fn any_numbers_draw(
        points in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..12),
        range in prop::option::of([prop::num::f64::ANY, prop::num::f64::ANY]),
        log in any::<[bool; 2]>(),
        style in prop::sample::select(vec![
            Style::Line, Style::LinePoints, Style::Dashed, Style::Thin, Style::Points,
        ]),
    ) {
        let x = Axis { label: "x".into(), log: log[0], range };
        let y = Axis { label: "y".into(), log: log[1], range: None };
        let mut figure = plain(x, y, style, &points);
        figure.series[0].error = Some(points.iter().map(|&(x, _)| Some(x)).collect());
        svg(tempdir().unwrap().path(), &figure);
    }
}

/// The figure's SVG, checked to be well-formed XML whose numbers are numbers.
fn svg(dir: &Path, figure: &Figure) -> String {
    let path = dir.join("checked.svg");
    report::plot(&path, figure).unwrap();
    let text = fs::read_to_string(path).unwrap();
    roxmltree::Document::parse(&text).unwrap();
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    text
}
