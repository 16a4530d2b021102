//! Where most points of a cloud lie.

/// Share of the points that the outline encloses.
const SHARE: f64 = 0.95;

/// Corners, in order, of the convex hull of the 95 % of the points that are nearest to their mean in units of their
/// own covariance.
pub fn outline(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let count = points.len().max(1) as f64;
    let mean = [0, 1].map(|d| points.iter().map(|p| p[d]).sum::<f64>() / count);
    let off = |p: &[f64; 2]| [p[0] - mean[0], p[1] - mean[1]];
    let moment = |a: usize, b: usize| points.iter().map(|p| off(p)[a] * off(p)[b]).sum::<f64>() / count;
    let (xx, xy, yy) = (moment(0, 0), moment(0, 1), moment(1, 1));
    let determinant = xx * yy - xy * xy;
    // A cloud on a line has no inverse covariance; plain distance ranks its points as well.
    let distance = |p: &[f64; 2]| {
        let [x, y] = off(p);
        match determinant > 1e-12 * (xx + yy).powi(2) {
            true => (yy * x * x - 2.0 * xy * x * y + xx * y * y) / determinant,
            false => x * x + y * y,
        }
    };
    let mut nearest = points.to_vec();
    nearest.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.truncate((SHARE * count).ceil() as usize);
    hull(nearest)
}

/// Corners of the convex hull, counter-clockwise: lower chain, then upper chain of the points sorted by abscissa.
fn hull(mut points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    if points.len() < 3 {
        return points;
    }
    let mut corners = chain(points.iter());
    corners.pop(); // the first of the other chain
    let mut upper = chain(points.iter().rev());
    upper.pop();
    corners.extend(upper);
    corners
}

fn chain<'a>(points: impl Iterator<Item = &'a [f64; 2]>) -> Vec<[f64; 2]> {
    let mut chain: Vec<[f64; 2]> = Vec::new();
    for &point in points {
        while let [.., a, b] = chain[..]
            && (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]) <= 0.0
        {
            chain.pop();
        }
        chain.push(point);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::{hull, outline};

    #[test]
    fn a_hull_has_the_corners_alone() {
        let square = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]];
        let inner = [[1.0, 1.0], [1.0, 0.0], [0.5, 1.5], [0.0, 0.0]];
        assert_eq!(hull([&square[..], &inner].concat()), square);
        assert_eq!(hull(vec![[1.0, 1.0], [1.0, 1.0]]), [[1.0, 1.0]]);
        assert_eq!(hull(vec![]), [[0.0; 2]; 0]);
    }

    #[test]
    fn outliers_are_left_out() {
        // A grid four times as wide as high, and one point that is far only in units of its height.
        let grid = (0..400).map(|i| [f64::from(i % 20) * 4.0, f64::from(i / 20)]);
        let points: Vec<[f64; 2]> = grid.chain([[38.0, 60.0]]).collect();
        let outline = outline(&points);
        assert!(outline.iter().all(|[_, y]| *y < 20.0), "{outline:?}");
        assert!(outline.iter().any(|[x, _]| *x > 60.0), "{outline:?}");
    }
}
