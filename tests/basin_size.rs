//! The size of a basin on curves that are known in full.

use netdyn::analysis::{Point, Size, Threshold, basin_size};
use std::cell::RefCell;

const HALF: Threshold = Threshold::Accuracy(0.5);

/// The size on a curve, and the amplitudes asked for.
fn size(list: &[f64], threshold: Threshold, stderr: f64, curve: impl Fn(f64) -> f64) -> (Size, Vec<f64>) {
    let asked = RefCell::new(vec![]);
    let measure = |amplitude| {
        asked.borrow_mut().push(amplitude);
        Ok::<_, ()>(Point { amplitude, accuracy: curve(amplitude), stderr: Some(stderr) })
    };
    let size = basin_size(list, threshold, measure).unwrap();
    (size, asked.into_inner())
}

#[test]
fn a_straight_line_is_met_exactly() {
    let (found, asked) = size(&[0.1, 0.2, 0.4], HALF, 0.0, |a| 1.0 - a);
    assert!((found.value().unwrap() - 0.5).abs() < 1e-12, "{found:?}");
    assert_eq!(asked[..5], [0.0, 0.1, 0.2, 0.4, 0.8]);
    // 0.4 wide, halved until below 2 % of an upper end near 0.5.
    assert_eq!(asked.len(), 5 + 6);
}

#[test]
fn the_first_crossing_counts() {
    let dip = |a: f64| if (0.9..1.6).contains(&a) || a > 5.0 { 0.2 } else { 0.8 };
    let (found, asked) = size(&[3.0, 1.0, 0.5, 2.0], HALF, 0.0, dip);
    assert!((found.value().unwrap() - 0.9).abs() < 0.02, "{found:?}");
    assert!(asked.iter().all(|&a| a <= 1.0), "{asked:?}");
}

#[test]
fn touching_the_threshold_is_not_falling_through() {
    let (found, _) = size(&[1.0, 2.0, 3.0], HALF, 0.0, |a| if a < 2.5 { 0.5 } else { 0.25 });
    assert!((2.4..2.6).contains(&found.value().unwrap()), "{found:?}");
}

#[test]
fn a_difference_within_the_error_ends_the_search() {
    let (found, asked) = size(&[0.4, 0.6], HALF, 0.3, |a| 1.0 - a);
    assert!((found.value().unwrap() - 0.5).abs() < 1e-12);
    assert_eq!(asked, [0.0, 0.4, 0.6]);
}

#[test]
fn the_list_is_doubled_to_64() {
    let (found, asked) = size(&[0.3, 3.0], HALF, 1e-9, |a| if a < 50.0 { 0.9 } else { 0.1 });
    assert!((49.0..51.0).contains(&found.value().unwrap()), "{found:?}");
    assert_eq!(asked[..8], [0.0, 0.3, 3.0, 6.0, 12.0, 24.0, 48.0, 64.0]);
    let (found, asked) = size(&[], HALF, 0.0, |_| 0.9);
    assert!(found.reason().unwrap().contains("64"), "{found:?}");
    assert_eq!(asked, [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
    // Given amplitudes beyond 64 belong to the curve only.
    let (found, asked) = size(&[100.0], HALF, 0.0, |a| if a < 70.0 { 0.9 } else { 0.1 });
    assert!(found.value().is_none() && asked.iter().all(|&a| a <= 64.0), "{asked:?}");
}

#[test]
fn thresholds() {
    let line = |a: f64| (0.4 - 0.1 * a).max(0.0);
    let (found, asked) = size(&[1.0], HALF, 0.0, line);
    assert!(found.reason().unwrap().contains("noise-free"), "{found:?}");
    assert_eq!(asked, [0.0]);
    let (found, _) = size(&[1.0], Threshold::Relative, 0.0, line);
    assert!((found.value().unwrap() - 2.0).abs() < 1e-12, "{found:?}");
    let (found, _) = size(&[1.0], Threshold::Relative, 0.0, |_| 0.0);
    assert!(found.reason().unwrap().contains("is 0"), "{found:?}");
}

#[test]
fn a_jump_at_zero_ends() {
    let (found, asked) = size(&[1.0], HALF, 0.0, |a| if a == 0.0 { 1.0 } else { 0.0 });
    assert!(found.value().unwrap() < 1e-5 && asked.len() < 40, "{found:?}");
}
