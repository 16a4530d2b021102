//! Cutting lines and polygons at the edges of the plot.

use super::canvas::Point;

/// A rectangle, upright.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Frame {
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// Whether a point is inside, half a pixel of grace given.
    pub fn contains(&self, (x, y): Point) -> bool {
        x >= self.left - 0.5 && x <= self.right + 0.5 && y >= self.top - 0.5 && y <= self.bottom + 0.5
    }

    /// The point of a fraction of the width, from the left, and of the height, from the bottom.
    pub fn point(&self, across: f64, up: f64) -> Point {
        (self.left + across * self.width(), self.bottom - up * self.height())
    }

    /// The pieces of a line that lie inside (Liang and Barsky).
    pub fn clip_line(&self, points: &[Point]) -> Vec<Vec<Point>> {
        let mut pieces: Vec<Vec<Point>> = Vec::new();
        for pair in points.windows(2) {
            let Some((from, to)) = self.clip_segment(pair[0], pair[1]) else { continue };
            match pieces.last_mut() {
                Some(piece) if piece.last() == Some(&from) => piece.push(to),
                _ => pieces.push(vec![from, to]),
            }
        }
        pieces
    }

    fn clip_segment(&self, a: Point, b: Point) -> Option<(Point, Point)> {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let (mut enter, mut leave) = (0.0f64, 1.0f64);
        for (rate, room) in
            [(-dx, a.0 - self.left), (dx, self.right - a.0), (-dy, a.1 - self.top), (dy, self.bottom - a.1)]
        {
            if rate == 0.0 {
                if room < 0.0 {
                    return None;
                }
            } else if rate < 0.0 {
                enter = enter.max(room / rate);
            } else {
                leave = leave.min(room / rate);
            }
        }
        // The ends themselves, not a + 1·(b − a): the next segment has to start at the same bits.
        let at = |part: f64| match part {
            0.0 => a,
            1.0 => b,
            _ => (a.0 + part * dx, a.1 + part * dy),
        };
        (enter <= leave).then(|| (at(enter), at(leave)))
    }

    /// The part of a polygon that lies inside (Sutherland and Hodgman).
    pub fn clip_polygon(&self, corners: Vec<Point>) -> Vec<Point> {
        // Each edge as the distance to it, positive inside.
        let edges: [&dyn Fn(Point) -> f64; 4] =
            [&|p| p.0 - self.left, &|p| self.right - p.0, &|p| p.1 - self.top, &|p| self.bottom - p.1];
        edges.into_iter().fold(corners, |corners, inside| {
            let mut kept = Vec::with_capacity(corners.len() + 4);
            for (i, &b) in corners.iter().enumerate() {
                let a = corners[(i + corners.len() - 1) % corners.len()];
                let (at_a, at_b) = (inside(a), inside(b));
                if (at_a < 0.0) != (at_b < 0.0) {
                    let part = at_a / (at_a - at_b);
                    kept.push((a.0 + part * (b.0 - a.0), a.1 + part * (b.1 - a.1)));
                }
                if at_b >= 0.0 {
                    kept.push(b);
                }
            }
            kept
        })
    }
}
