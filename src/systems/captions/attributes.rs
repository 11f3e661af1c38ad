//! What can be measured of an image, and how well an image fits a caption.

use super::caption::Caption;

/// Share of ink, and lean to the right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attributes {
    /// Mean grey value, 0 (paper) to 1 (ink).
    pub mass: f64,
    /// Pixels to the right per pixel up, by the second moments of the ink; 0 where there is none.
    pub slant: f64,
}

impl Attributes {
    /// Measures an image of grey values, row by row.
    pub fn of(image: &[f32], width: usize) -> Self {
        let total: f64 = image.iter().map(|&v| f64::from(v)).sum();
        let mean = |of: fn(usize, usize) -> f64| -> f64 {
            let sum: f64 = (0..image.len())
                .map(|at| f64::from(image[at]) * of(at % width, at / width))
                .sum();
            sum / total.max(1e-9)
        };
        let (x, y) = (mean(|x, _| x as f64), mean(|_, y| y as f64));
        let both = mean(|x, y| (x * y) as f64) - x * y;
        let tall = mean(|_, y| (y * y) as f64) - y * y;
        Self {
            mass: total / image.len() as f64,
            slant: if tall > 1e-6 { -both / tall } else { 0.0 },
        }
    }
}

/// Where an attribute counts as low and as high, and how sharply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The lower third ends here.
    pub low: f64,
    /// The upper third begins here.
    pub high: f64,
    /// Width of the transition.
    pub width: f64,
}

impl Scale {
    /// Returns the scale of values: their thirds, and a quarter of their standard deviation.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mean = crate::stats::mean(values);
        let squares: Vec<f64> = values.iter().map(|v| (v - mean).powi(2)).collect();
        Self {
            low: sorted[sorted.len() / 3],
            high: sorted[2 * sorted.len() / 3],
            width: 0.25 * crate::stats::mean(&squares).sqrt().max(1e-9),
        }
    }

    /// Returns whether a value is in the upper third, in the lower, or in neither.
    pub fn stated(&self, value: f64) -> Option<bool> {
        let (low, high) = (value < self.low, value > self.high);
        (low || high).then_some(high)
    }

    /// Returns how well a value fits, from 0 to 1.
    pub fn fit(&self, value: f64, high: bool) -> f64 {
        let over = if high {
            value - self.high
        } else {
            self.low - value
        };
        1.0 / (1.0 + (-over / self.width).exp())
    }
}

/// Scales of both attributes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Scale of the ink of an image.
    pub mass: Scale,
    /// Scale of the slant of an image.
    pub slant: Scale,
}

impl Scales {
    /// Returns what can be said of an image.
    pub fn caption(&self, of: Attributes, digit: u8) -> Caption {
        Caption {
            thick: self.mass.stated(of.mass),
            slanted: self.slant.stated(of.slant),
            digit: Some(digit),
        }
    }

    /// Returns how well an image fits a caption: the mean over what it states, from 0 to 1; 1 where it states nothing.
    /// `digit` is p(c|x) of the image.
    pub fn score(&self, caption: &Caption, of: Attributes, digit: &[f64]) -> f64 {
        let parts = [
            caption.thick.map(|high| self.mass.fit(of.mass, high)),
            caption.slanted.map(|high| self.slant.fit(of.slant, high)),
            caption.digit.map(|d| digit[usize::from(d)]),
        ];
        let parts: Vec<f64> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            1.0
        } else {
            crate::stats::mean(&parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that leans by half a pixel per pixel, one that stands, and one that leans the other way.
    #[test]
    fn the_slant_of_a_line_is_its_lean() {
        let line = |lean: f64| -> Attributes {
            let mut image = vec![0.0f32; 16 * 16];
            for y in 2..14 {
                let x = 8.0 - lean * (y as f64 - 8.0);
                let (left, share) = (x.floor() as usize, x - x.floor());
                image[y * 16 + left] = (1.0 - share) as f32;
                image[y * 16 + left + 1] += share as f32;
            }
            Attributes::of(&image, 16)
        };
        for lean in [0.5, 0.0, -0.25] {
            let found = line(lean);
            assert!((found.slant - lean).abs() < 1e-6, "{found:?}");
            assert!((found.mass - 12.0 / 256.0).abs() < 1e-6);
        }
        assert_eq!(Attributes::of(&[0.0; 64], 8).slant, 0.0);
    }

    #[test]
    fn thirds_are_stated_and_scores_are_means() {
        let values: Vec<f64> = (0..300).map(f64::from).collect();
        let scale = Scale::of(&values);
        assert_eq!(
            (scale.stated(50.0), scale.stated(150.0), scale.stated(250.0)),
            (Some(false), None, Some(true))
        );
        assert!((scale.fit(scale.high, true) - 0.5).abs() < 1e-9);
        assert!(scale.fit(299.0, true) > 0.9 && scale.fit(299.0, false) < 1e-3);
        let scales = Scales {
            mass: scale,
            slant: scale,
        };
        let of = Attributes {
            mass: scale.high,
            slant: 0.0,
        };
        let mut p = [0.0; 10];
        p[7] = 0.9;
        let caption = Caption::parse("a thick seven").expect("known words");
        assert!((scales.score(&caption, of, &p) - 0.7).abs() < 1e-9);
        assert_eq!(scales.score(&Caption::default(), of, &p), 1.0);
        assert_eq!(scales.caption(of, 3).text(), "a upright three");
    }
}
