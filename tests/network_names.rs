//! Which tensor of a network file is which layer, in which order, and which batch norm follows it.

use crate::common::network_file::{ReadIn, linears, unit, with_norms};
use netdyn::model::file::ReadOptions;
use proptest::prelude::*;

#[test]
fn layers_are_put_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for (layers, order) in [
        // Gaps, and 2 before 10.
        (vec![("10", 4, 4), ("2", 4, 4), ("0", 6, 4), ("31", 4, 3)], vec!["0", "2", "10", "31"]),
        // Alphabetical order is wrong; only one chains.
        (vec![("hid", 5, 5), ("inp", 6, 5), ("out", 5, 3)], vec!["inp", "hid", "out"]),
        // A wrapper's name before some only is not a wrapper.
        (
            vec![("inp", 6, 5), ("net.0", 5, 5), ("net.2", 5, 5), ("out", 5, 3)],
            vec!["inp", "net.0", "net.2", "out"],
        ),
        // The walk 6→5→4→5→3 goes through 5 twice, and only one way.
        (vec![("a", 5, 3), ("b", 4, 5), ("c", 5, 4), ("d", 6, 5)], vec!["d", "c", "b", "a"]),
        // The last size is the first.
        (vec![("x", 6, 5), ("y", 5, 6)], vec!["x", "y"]),
        // Names differing in something else than a dot, with numbers inside.
        (vec![("fc2_", 5, 5), ("fc10_", 5, 3), ("fc1_", 6, 5)], vec!["fc1_", "fc2_", "fc10_"]),
    ] {
        let (_, understood) = folder.read(&linears(&layers), &unit()).unwrap();
        let got: Vec<&str> = understood.layers.iter().map(|l| l.weight.trim_end_matches("weight")).collect();
        let got: Vec<&str> = got.into_iter().map(|name| name.trim_end_matches('.')).collect();
        assert_eq!(got, order);
    }
}

#[test]
fn several_orders_ask_and_the_answer_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = linears(&[("hid1", 5, 5), ("hid2", 5, 5), ("inp", 6, 5), ("out", 5, 3)]);
    let why = folder.read(&file, &unit()).unwrap_err();
    assert_eq!(why.exit_code(), 2);
    assert!(why.to_string().contains("--layer-order"), "{why}");

    let order = |text: &str| ReadOptions {
        layer_order: Some(text.split(',').map(str::to_owned).collect()),
        ..unit()
    };
    for text in ["inp,hid2,hid1,out", "inp.weight,hid2,hid1.weight,out"] {
        let (_, understood) = folder.read(&file, &order(text)).unwrap();
        assert_eq!(understood.layers[1].weight, "hid2.weight");
    }
    for text in ["inp,hid1,out", "inp,hid1,hid1,out", "hid1,inp,hid2,out", "inp,hid1,hid3,out"] {
        assert_eq!(folder.read(&file, &order(text)).unwrap_err().exit_code(), 2, "{text}");
    }
    let file = linears(&[
        ("module.net.hid1", 5, 5),
        ("module.net.hid2", 5, 5),
        ("module.net.inp", 6, 5),
        ("module.net.out", 5, 3),
    ]);
    for text in ["inp,hid2,hid1,out", "module.net.inp,hid2,module.net.hid1.weight,out.weight"] {
        let (_, understood) = folder.read(&file, &order(text)).unwrap();
        assert_eq!(understood.layers[1].weight, "module.net.hid2.weight");
    }
    // Two cycles that may be walked in either order, and a circuit without a beginning.
    for layers in [
        vec![("a", 5, 7), ("b", 7, 5), ("c", 8, 5), ("d", 5, 8), ("e", 5, 3), ("f", 6, 5)],
        vec![("a", 5, 6), ("b", 7, 5), ("c", 6, 7)],
    ] {
        assert_eq!(folder.read(&linears(&layers), &unit()).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn a_broken_chain_names_the_tensors() {
    let folder = tempfile::tempdir().unwrap();
    for layers in [
        vec![("a", 6, 5), ("b", 4, 3)],
        vec![("a", 6, 5), ("b", 5, 3), ("c", 5, 3)],
        vec![("a", 6, 5), ("b", 7, 7), ("c", 5, 3)],
    ] {
        let why = folder.read(&linears(&layers), &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 3);
        assert!(why.to_string().contains("'b.weight'"), "{why}");
    }
}

#[test]
fn many_equal_layers_take_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..300).map(|i| format!("layers.{}", 299 - i)).collect();
    let mut layers: Vec<(&str, usize, usize)> = names.iter().map(|name| (&name[..], 1, 1)).collect();
    assert!(folder.read(&linears(&layers), &unit()).is_ok());
    layers.push(("a", 1, 2));
    assert_eq!(folder.read(&linears(&layers), &unit()).unwrap_err().exit_code(), 2);
}

#[test]
fn batch_norms_find_their_layers() {
    let folder = tempfile::tempdir().unwrap();
    let square = |names: &[&'static str]| -> Vec<(&'static str, usize, usize)> {
        names.iter().enumerate().map(|(i, &name)| (name, if i == 0 { 6 } else { 5 }, 5)).collect()
    };
    let none = None;
    for (layers, norms, expected) in [
        (square(&["0", "3", "6"]), vec![("1", 5), ("4", 5)], vec![Some("1"), Some("4"), none]),
        (square(&["0", "2", "5"]), vec![("3", 5)], vec![none, Some("3"), none]),
        (square(&["l.0", "l.1", "l.2", "l.3"]), vec![("b.1", 5)], vec![none, Some("b.1"), none, none]),
        (square(&["l.0", "l.1", "l.2"]), vec![("b.0", 5), ("b.1", 5)], vec![Some("b.0"), Some("b.1"), none]),
        (
            square(&["a.fc", "b.fc", "c.fc"]),
            vec![("n.7", 5), ("n.10", 5)],
            vec![Some("n.7"), Some("n.10"), none],
        ),
        (
            square(&["b.0.fc", "b.1.fc", "z"]),
            vec![("b.0.bn", 5), ("b.1.bn", 5)],
            vec![Some("b.0.bn"), Some("b.1.bn"), none],
        ),
        (square(&["h.0.0", "h.1.0", "z"]), vec![("h.1.1", 5)], vec![none, Some("h.1.1"), none]),
        // Counted from 1 and from 0.
        (
            vec![("fc0", 6, 5), ("fc1", 5, 5), ("fc2", 5, 3)],
            vec![("bn1", 5), ("bn2", 5)],
            vec![Some("bn1"), Some("bn2"), none],
        ),
        // No numbers, but one place of this size.
        (
            vec![("inp", 6, 5), ("hid", 5, 4), ("out", 4, 3)],
            vec![("norm", 4)],
            vec![none, Some("norm"), none],
        ),
    ] {
        let (_, understood) = folder.read(&with_norms(&layers, &norms), &unit()).unwrap();
        let got: Vec<Option<&str>> = understood.layers.iter().map(|layer| layer.norm.as_deref()).collect();
        assert_eq!(got, expected);
    }
}

#[test]
fn unclear_batch_norms_ask_and_the_answer_counts() {
    let folder = tempfile::tempdir().unwrap();
    let named = [("inp", 6, 5), ("hid", 5, 5), ("out", 5, 3)];
    for (layers, norms) in [
        (&named[..], &[("bn_hid", 5), ("bn_inp", 5)][..]),
        (&named[..], &[("bn", 5)]),
        // Something stands between layer and norm: perhaps the activation.
        (&[("0", 6, 5), ("3", 5, 5), ("6", 5, 3)], &[("2", 5), ("5", 5)]),
        // The numbers say one thing, the count another.
        (&[("fc0", 6, 5), ("fc1", 5, 5), ("fc2", 5, 5)], &[("bn1", 5), ("bn2", 5)]),
    ] {
        let file = with_norms(layers, norms);
        let why = folder.read(&file, &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 2, "{why}");
        assert!(why.to_string().contains("--bn-layers"), "{why}");
    }

    let file = with_norms(&named, &[("bn_hid", 5), ("bn_inp", 5)]);
    let layers = |layers: &[usize]| ReadOptions { bn_layers: Some(layers.to_vec()), ..unit() };
    let (_, understood) = folder.read(&file, &layers(&[3, 2])).unwrap();
    assert_eq!(understood.layers[0].norm.as_deref(), Some("bn_inp"));
    for wrong in [&[3][..], &[2, 2], &[1, 2], &[2, 4], &[2, 3, 4], &[usize::MAX, 0]] {
        assert_eq!(folder.read(&file, &layers(wrong)).unwrap_err().exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn impossible_batch_norms_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (layers, norm) in [
        (&[("0", 6, 5), ("2", 5, 3)][..], ("3", 3)), // after the last layer
        (&[("fc1", 6, 5), ("fc2", 5, 3)], ("bn", 3)),
        (&[("fc", 6, 5)], ("bn", 5)),
        (&[("fc1", 6, 5), ("fc2", 5, 3)], ("bn", 6)), // on the input
    ] {
        let why = folder.read(&with_norms(layers, &[norm]), &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 3, "{why}");
        assert!(why.to_string().contains(norm.0), "{why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against all permutations of up to five layers.
    #[test]
    fn the_order_is_the_only_one_that_chains(sizes in prop::collection::vec((1..4_usize, 1..4_usize), 1..6)) {
        let layers: Vec<(&str, usize, usize)> =
            sizes.iter().zip(["a", "b", "c", "d", "e"]).map(|(&(inputs, outputs), name)| (name, inputs, outputs)).collect();
        let chain: Vec<Vec<usize>> = permutations(layers.len())
            .into_iter()
            .filter(|order| order.windows(2).all(|pair| layers[pair[0]].2 == layers[pair[1]].1))
            .collect();
        let natural: Vec<usize> = (0..layers.len()).collect();
        let expected = match &chain[..] {
            [] => Err(3),
            chain if chain.contains(&natural) => Ok(&natural),
            [only] => Ok(only),
            _ => Err(2),
        };
        let got = tempfile::tempdir().unwrap().read(&linears(&layers), &unit());
        match (got, expected) {
            (Ok((_, understood)), Ok(order)) => {
                let got: Vec<&str> = understood.layers.iter().map(|layer| &layer.weight[..1]).collect();
                let order: Vec<&str> = order.iter().map(|&i| layers[i].0).collect();
                prop_assert_eq!(got, order);
            }
            (Err(why), Err(code)) => prop_assert_eq!(why.exit_code(), code, "{}", why),
            (got, expected) => prop_assert!(false, "{got:?}, expected {expected:?}"),
        }
    }
}

/// All orders of `0..n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let insert = |short: Vec<usize>| {
        (0..n).map(move |at| {
            let mut order = short.clone();
            order.insert(at, n - 1);
            order
        })
    };
    permutations(n - 1).into_iter().flat_map(insert).collect()
}
