//! Round numbers along an axis, and how they are written.

/// Places along an axis with their labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticks {
    pub(crate) values: Vec<f64>,
    pub(crate) labels: Vec<String>,
}

/// Returns multiples of 1, 2 or 5 times a power of ten, about `count` of them, within `low..=high`.
pub(crate) fn linear(low: f64, high: f64, count: usize) -> Ticks {
    let step = nice_step((high - low) / count.max(1) as f64);
    let first = (low / step - 1e-9).ceil();
    let steps = (high / step + 1e-9).floor() - first;
    let values: Vec<f64> = (0..=steps.max(0.0) as usize)
        .map(|index| (first + index as f64) * step)
        .collect();
    let labels = format_all(&values, step);
    Ticks { values, labels }
}

/// Returns powers of ten, or parts of them when there are fewer than two, about `count` of them.
pub(crate) fn logarithmic(low: f64, high: f64, count: usize) -> Ticks {
    let (first, last) = (
        (low.log10() - 1e-9).ceil() as i32,
        (high.log10() + 1e-9).floor() as i32,
    );
    let decades = usize::try_from(last - first + 1).unwrap_or(0);
    let stride = decades.div_ceil(count + 1).max(1) as i32;
    let mut values: Vec<f64> = (first..=last)
        .filter(|power| power.rem_euclid(stride) == 0)
        .map(power_of_ten)
        .collect();
    if decades < 3 && high / low < 200.0 {
        values = (first - 1..=last)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|part| part * power_of_ten(power)))
            .filter(|value| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(value))
            .collect();
    }
    if values.len() < 2 {
        return linear(low, high, count);
    }
    let plain = values.iter().all(|value| (1e-3..1e5).contains(value));
    let labels = values
        .iter()
        .map(|value| {
            if plain {
                plain_label(*value)
            } else {
                scientific(*value, 0)
            }
        })
        .collect();
    Ticks { values, labels }
}

/// Returns the 1, 2, 5 or 10 times a power of ten that is nearest to `raw` as a ratio.
fn nice_step(raw: f64) -> f64 {
    let power = raw.log10().floor() as i32;
    let scale = power_of_ten(power);
    let borders = [(2.0_f64, 1.0), (10.0, 2.0), (50.0, 5.0)];
    let nearest = borders
        .into_iter()
        .find(|(border, _)| raw / scale < border.sqrt());
    let factor = nearest.map_or(10.0, |(_, factor)| factor);
    factor * scale
}

/// Returns 10^power; parsing is exact where `powi` rounds.
fn power_of_ten(power: i32) -> f64 {
    format!("1e{power}").parse().unwrap_or(f64::MIN_POSITIVE)
}

fn plain_label(value: f64) -> String {
    let decimals = (-value.log10().floor()).max(0.0) as usize;
    grouped(value, decimals)
}

/// Returns the labels of numbers that are read to `step`: thousands separated, or in k, M, G, T, or as powers.
pub(crate) fn format_all(values: &[f64], step: f64) -> Vec<String> {
    let largest = values
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest > 0.0 && !(1e-4..1e15).contains(&largest) {
        let power = largest.log10().floor() as i32;
        let digits = decimals(step / power_of_ten(power));
        return values
            .iter()
            .map(|value| scientific_at(*value, power, digits))
            .collect();
    }
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let unit = units
        .into_iter()
        .find(|(unit, _)| largest >= *unit && largest >= 1e4 && step / unit >= 0.00999);
    let (unit, suffix) = unit.unwrap_or((1.0, ""));
    let digits = decimals(step / unit);
    let label = |value: &f64| {
        if *value == 0.0 {
            String::from("0")
        } else {
            format!("{}{suffix}", grouped(value / unit, digits))
        }
    };
    values.iter().map(label).collect()
}

/// Returns how many decimals tell multiples of `step` apart.
fn decimals(step: f64) -> usize {
    let fraction = |digits: &usize| {
        let scaled = step * 10_f64.powi(*digits as i32);
        scaled >= 0.99 && (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    (0..=15).find(fraction).unwrap_or(15)
}

/// Returns the number with a minus sign and separated thousands.
pub(crate) fn grouped(value: f64, decimals: usize) -> String {
    let written = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = written
        .split_once('.')
        .map_or((written.as_str(), None), |(w, f)| (w, Some(f)));
    let mut label = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            label.push(',');
        }
        label.push(digit);
    }
    if let Some(fraction) = fraction {
        label = format!("{label}.{fraction}");
    }
    let zero = label.chars().all(|c| matches!(c, '0' | '.' | ','));
    if value < 0.0 && !zero {
        format!("−{label}")
    } else {
        label
    }
}

fn scientific(value: f64, digits: usize) -> String {
    scientific_at(value, (value.abs().log10() + 1e-9).floor() as i32, digits)
}

/// Returns the number in powers of ten, such as 2×10⁻⁵; a mantissa of one is left out.
fn scientific_at(value: f64, power: i32, digits: usize) -> String {
    if value == 0.0 {
        return String::from("0");
    }
    let mantissa = grouped(value / power_of_ten(power), digits);
    let exponent: String = power.to_string().chars().map(raised).collect();
    match mantissa.as_str() {
        "1" => format!("10{exponent}"),
        "−1" => format!("−10{exponent}"),
        _ => format!("{mantissa}×10{exponent}"),
    }
}

fn raised(digit: char) -> char {
    let index = digit.to_digit(10).map_or(10, |digit| digit as usize);
    ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹', '⁻'][index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_suit_their_magnitude() {
        assert_eq!(
            linear(0.0, 1.0, 5).labels,
            ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            linear(-500.0, 3500.0, 5).labels,
            ["0", "1,000", "2,000", "3,000"]
        );
        assert_eq!(
            linear(0.0, 100_000.0, 5).labels,
            ["0", "20k", "40k", "60k", "80k", "100k"]
        );
        assert_eq!(linear(0.0, 1e6, 2).labels, ["0", "0.5M", "1.0M"]);
        assert_eq!(
            linear(1_000_000.0, 1_000_004.0, 2).labels,
            ["1,000,000", "1,000,002", "1,000,004"]
        );
        assert_eq!(
            linear(-2e-6, 2e-6, 4).labels,
            ["−2×10⁻⁶", "−10⁻⁶", "0", "10⁻⁶", "2×10⁻⁶"]
        );
        assert_eq!(linear(0.0, 2e20, 2).labels, ["0", "10²⁰", "2×10²⁰"]);
        assert_eq!(linear(-1400.0, -100.0, 3).labels, ["−1,000", "−500"]);
    }

    #[test]
    fn logarithmic_ticks_thin_out_and_fill_in() {
        assert_eq!(
            logarithmic(0.5, 2000.0, 6).labels,
            ["1", "10", "100", "1,000"]
        );
        assert_eq!(
            logarithmic(1e-9, 1.0, 5).labels,
            ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"]
        );
        assert_eq!(logarithmic(1.5, 30.0, 5).labels, ["2", "5", "10", "20"]);
        assert_eq!(logarithmic(5.1, 5.9, 4).values.len(), 4);
    }
}
