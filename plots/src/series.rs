//! What a figure of lines holds.

/// One line, with a band around it if there is one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name, shown beside its end or in the legend.
    pub label: String,
    /// Where each value lies, for instance the update.
    pub x: Vec<f64>,
    /// The values, as many as `x`. One that is not finite breaks the line.
    pub y: Vec<f64>,
    /// The band, as long as `x`.
    pub band: Option<Band>,
}

/// Edges of a band around a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Band {
    /// Lower edge at each x.
    pub low: Vec<f64>,
    /// Upper edge at each x.
    pub high: Vec<f64>,
}

/// Lines on one pair of axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// What the figure shows.
    pub title: String,
    /// How it was measured, in grey under the title.
    pub subtitle: String,
    /// Name and unit of the x axis.
    pub x_label: String,
    /// Name and unit of the y axis.
    pub y_label: String,
    /// The lines, coloured in this order.
    pub series: Vec<Series>,
    /// Labelled horizontal dashed lines, such as `("prior", 310.0)`.
    pub references: Vec<(String, f64)>,
    /// Whether the y axis is logarithmic. Values that are not positive have no place on it.
    pub log_y: bool,
}
