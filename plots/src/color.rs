//! Colours with opacity, and how they mix.

/// A colour with its opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Color {
    pub(crate) rgb: (u8, u8, u8),
    pub(crate) alpha: f64,
}

impl Color {
    /// Returns an opaque colour.
    pub(crate) const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self {
            rgb: (red, green, blue),
            alpha: 1.0,
        }
    }

    /// Returns the opaque colour that this one would have on white paper at an opacity of `alpha`.
    pub(crate) fn on_paper(self, alpha: f64) -> Self {
        let mix = |channel: u8| (f64::from(channel) * alpha + 255.0 * (1.0 - alpha)).round() as u8;
        let (red, green, blue) = self.rgb;
        Self::new(mix(red), mix(green), mix(blue))
    }

    /// Returns the colour with another opacity.
    pub(crate) const fn with_alpha(self, alpha: f64) -> Self {
        Self {
            rgb: self.rgb,
            alpha,
        }
    }
}
