//! The certificate as a picture: log Z of every state from both sides, ESS/N, path-KL and residuals.

use std::path::{Path, PathBuf};

use tiltrl_plots::{Band, Curve, Panels, Series, panels};
use tiltrl_tilt::certificate::{ConditionCertificate, ResidualCounts};

use crate::error::Error;
use crate::train::certificate::Certificate;

/// From paths of the posterior; one colour in all panels.
const POSTERIOR: &str = "posterior";
/// From paths of the prior, weighted by their rewards.
const PRIOR: &str = "prior, reweighted";
/// What medians must meet.
const THRESHOLD: &str = "threshold of the median";

/// Draws a certificate to `stem.svg`, `.png` and `.csv`.
///
/// # Errors
/// When the picture cannot be written.
pub fn certificate(
    name: &str,
    certificate: &Certificate,
    stem: &Path,
) -> Result<Vec<PathBuf>, Error> {
    Ok(panels(&certificate_panels(name, certificate), stem)?)
}

/// Returns the picture of a certificate.
pub fn certificate_panels(name: &str, certificate: &Certificate) -> Panels {
    let mut all = vec![
        log_z(&certificate.states),
        bounds(certificate),
        effective(certificate),
        spread(&certificate.states),
    ];
    if let Some(counts) = &certificate.residuals {
        all[3] = residuals(counts);
    }
    Panels {
        title: format!("{name}: certificate of the posterior"),
        subtitle: certificate.verdict.to_string(),
        panels: all,
        columns: 2,
    }
}

fn by(
    states: &[ConditionCertificate],
    key: fn(&ConditionCertificate) -> f64,
) -> Vec<ConditionCertificate> {
    let mut sorted = states.to_vec();
    sorted.sort_by(|a, b| key(a).total_cmp(&key(b)));
    sorted
}

fn series(
    label: &str,
    states: &[ConditionCertificate],
    value: &dyn Fn(&ConditionCertificate) -> f64,
) -> Series {
    let last = (states.len().max(2) - 1) as f64;
    Series {
        label: label.into(),
        x: (0..states.len()).map(|i| 100.0 * i as f64 / last).collect(),
        y: states.iter().map(value).collect(),
        band: None,
    }
}

fn panel(title: &str, subtitle: &str, x_label: &str, series: Vec<Series>) -> Curve {
    Curve {
        title: title.into(),
        subtitle: subtitle.into(),
        x_label: x_label.into(),
        series,
        ..Curve::default()
    }
}

/// log Z of the states in ascending order: by the prior, and by the posterior in its bounds.
fn log_z(states: &[ConditionCertificate]) -> Curve {
    let sorted = by(states, |c| c.log_z_prior);
    let mut posterior = series(POSTERIOR, &sorted, &|c| c.log_z_posterior);
    posterior.band = Some(Band {
        low: sorted.iter().map(|c| c.elbo).collect(),
        high: sorted.iter().map(|c| c.eubo).collect(),
    });
    let prior = series(PRIOR, &sorted, &|c| c.log_z_prior);
    panel(
        "log Z (nats)",
        "each state, sorted; band: ELBO to EUBO",
        "States (%)",
        vec![posterior, prior],
    )
}

/// The same relative to the prior's log Z, in the order of the gap between the bounds.
fn bounds(certificate: &Certificate) -> Curve {
    let sorted = by(&certificate.states, |c| c.eubo - c.elbo);
    let mut posterior = series(POSTERIOR, &sorted, &|c| c.log_z_posterior - c.log_z_prior);
    posterior.band = Some(Band {
        low: sorted.iter().map(|c| c.elbo - c.log_z_prior).collect(),
        high: sorted.iter().map(|c| c.eubo - c.log_z_prior).collect(),
    });
    let gap = certificate.verdict.thresholds.log_z_gap;
    let mut curve = panel(
        "log Z minus the prior's (nats)",
        "sorted by EUBO − ELBO; band: ELBO to EUBO",
        "States (%)",
        vec![posterior],
    );
    curve.references = vec![(THRESHOLD.into(), gap), (THRESHOLD.into(), -gap)];
    curve
}

/// Quantiles of ESS/N, of the posterior and of the rewards under the prior.
fn effective(certificate: &Certificate) -> Curve {
    let of = |key: fn(&ConditionCertificate) -> f64, label: &str| {
        series(label, &by(&certificate.states, key), &key)
    };
    let mut curve = panel(
        "ESS / N",
        "quantiles over states",
        "States (%)",
        vec![
            of(|c| c.ess_posterior, POSTERIOR),
            of(|c| c.ess_prior, PRIOR),
        ],
    );
    let threshold = certificate.verdict.thresholds.ess;
    curve.references = vec![(THRESHOLD.into(), threshold)];
    curve
}

/// Spread of the residual per state, where the residuals themselves were not stored.
fn spread(states: &[ConditionCertificate]) -> Curve {
    let sorted = by(states, |c| c.residual_std);
    panel(
        "Residual std (nats)",
        "quantiles over states",
        "States (%)",
        vec![series(POSTERIOR, &sorted, &|c| c.residual_std)],
    )
}

/// Share of the paths per bin of the residual, as steps.
fn residuals(counts: &ResidualCounts) -> Curve {
    let total = counts.counts.iter().sum::<u64>().max(1) as f64;
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (i, &count) in counts.counts.iter().enumerate() {
        let low = i as f64 * ResidualCounts::WIDTH - ResidualCounts::LIMIT;
        x.extend([low, low + ResidualCounts::WIDTH]);
        y.extend([100.0 * count as f64 / total; 2]);
    }
    let steps = Series {
        label: POSTERIOR.into(),
        x,
        y,
        band: None,
    };
    let bin = ResidualCounts::WIDTH;
    panel(
        "Paths (%)",
        &format!(
            "residual δ in bins of {bin} nats, beyond ±{} in the last",
            ResidualCounts::LIMIT
        ),
        "Residual δ = log Z_q − log weight (nats)",
        vec![steps],
    )
}
