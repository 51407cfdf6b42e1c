//! Charts as SVG and PNG files.

mod axis;

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use self::axis::Scale;
use crate::{
    report::{
        charts::{Chart, Kind, PALETTE, Point, Series, of_faults, of_scenario},
        figures::Figures,
    },
    store::record::RunRecord,
};

/// Size of a picture of lines in pixels. Dot plots are as high as their rows.
const SIZE: (u32, u32) = (960, 540);

/// Height of a row of a dot plot in pixels.
const ROW: usize = 28;

/// Height of title, axis and margins of a dot plot in pixels.
const AROUND: usize = 120;

/// Maximum height of a dot plot in pixels; the rows of a larger one are closer together.
const HIGHEST: usize = 8_000;

/// Colour of the dots and intervals of dot plots, whose names make a colour for each server superfluous.
const DOT: RGBColor = RGBColor(0, 89, 138);

/// Estimated width of a character of 13 pixels.
const CHARACTER: f64 = 7.6;

/// Scale of PNG files, for dense screens and print.
const DENSITY: f32 = 2.0;

/// Maximum characters of a name in a legend or under an axis.
const NAME: usize = 24;

/// Colour of lines that mark an event.
const MARKED: RGBColor = RGBColor(90, 90, 90);

type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Returns all charts of a run, in order.
#[must_use]
pub fn charts(run: &RunRecord) -> Vec<Chart> {
    let figures: Vec<Figures> = run.cases.iter().map(Figures::of).collect();
    let mut scenarios: Vec<&str> = Vec::new();
    for case in &run.cases {
        if !scenarios.contains(&case.scenario.as_str()) {
            scenarios.push(&case.scenario);
        }
    }
    scenarios
        .into_iter()
        .flat_map(|scenario| {
            let mut charts = of_scenario(run, &figures, scenario);
            charts.extend(of_faults(run, &figures, scenario));
            charts
        })
        .collect()
}

/// Draws a chart as SVG.
///
/// # Errors
/// If the drawing library fails, with its message.
pub fn svg(chart: &Chart) -> Result<String, String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size(chart)).into_drawing_area();
        draw(chart, &area).map_err(|e| format!("{}: {e}", chart.id))?;
        area.present().map_err(|e| format!("{}: {e}", chart.id))?;
    }
    Ok(text)
}

/// Renders one of these SVGs as PNG with the built-in font, so that the result does not depend on installed fonts.
///
/// # Errors
/// If the SVG cannot be parsed or rendered.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    let mut options = resvg::usvg::Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = resvg::usvg::Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let size = tree
        .size()
        .to_int_size()
        .scale_by(DENSITY)
        .ok_or("the picture has no size")?;
    let mut pixels =
        resvg::tiny_skia::Pixmap::new(size.width(), size.height()).ok_or("not enough memory for the picture")?;
    let scale = resvg::tiny_skia::Transform::from_scale(DENSITY, DENSITY);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| e.to_string())
}

fn size(chart: &Chart) -> (u32, u32) {
    if !chart.kind.is_dot_plot() {
        return SIZE;
    }
    let height = (AROUND + ROW * chart.categories.len()).min(HIGHEST);
    (SIZE.0, u32::try_from(height).unwrap_or(SIZE.1))
}

fn draw(chart: &Chart, area: &DrawingArea<SVGBackend, Shift>) -> Drawn {
    area.fill(&WHITE)?;
    if chart.kind.is_dot_plot() {
        return dot_plot(chart, area);
    }
    let (x, y) = scales(chart);
    // A single line is named by the title.
    let legend = chart.series.len() > 1;
    let (left, right) = area.split_horizontally(if legend { SIZE.0 - 210 } else { SIZE.0 - 20 });
    let below = left.titled(&cut(&chart.title, 70), ("sans-serif", 20))?;
    let mut plot = ChartBuilder::on(&below)
        .margin(12)
        // Room for the title of the vertical axis.
        .margin_top(34)
        .x_label_area_size(48)
        .y_label_area_size(92)
        .build_cartesian_2d(x.range(), y.range())?;
    grid(chart, &mut plot, &left, &x, &y)?;
    for series in &chart.series {
        line(series, &mut plot, &x, &y)?;
    }
    moments(chart, &plot, &left, (&x, &y))?;
    if legend {
        names(chart, &right)?;
    }
    Ok(())
}

/// Draws one row for each category, sorted from the top, with its name at its points.
fn dot_plot(chart: &Chart, area: &DrawingArea<SVGBackend, Shift>) -> Drawn {
    let points = || chart.series.iter().flat_map(|s| &s.points);
    let ends = points().flat_map(|p| [p.y, p.low.unwrap_or(p.y), p.high.unwrap_or(p.y)]);
    let values = Scale::over(ends, &chart.y, true);
    let rows = Scale::categories(chart.categories.len());
    let mut plot = ChartBuilder::on(area)
        .caption(cut(&chart.title, 70), ("sans-serif", 20))
        .margin(12)
        .margin_right(28)
        .x_label_area_size(48)
        .y_label_area_size(12)
        .build_cartesian_2d(values.range(), rows.range())?;
    value_axis(chart, &mut plot, area, &values)?;
    let last = crate::report::units::float_len(chart.categories.len().saturating_sub(1));
    // The first category is at the top.
    let at = |p: &Point, value: f64| (values.place(value), last - p.x);
    for point in points() {
        if let (Some(low), Some(high)) = (point.low, point.high) {
            let ends = [at(point, low), at(point, high)];
            plot.draw_series([PathElement::new(ends, DOT.stroke_width(3))])?;
        }
    }
    for point in points() {
        marker(point, at(point, point.y), DOT, false, &mut plot)?;
    }
    for (index, name) in chart.categories.iter().enumerate() {
        let of_row: Vec<&Point> = points().filter(|p| place(p) == index).collect();
        let low = of_row
            .iter()
            .map(|p| p.low.unwrap_or(p.y))
            .fold(f64::INFINITY, f64::min);
        let high = of_row
            .iter()
            .map(|p| p.high.unwrap_or(p.y))
            .fold(f64::NEG_INFINITY, f64::max);
        let Some(first) = of_row.first() else { continue };
        let value = (chart.kind == Kind::Intervals).then(|| chart.y.quantity.text(first.y));
        name_at(&plot, area, (at(first, low), at(first, high)), name, value.as_deref())?;
    }
    Ok(())
}

/// Draws the name of a row, and its value if there is one, next to its points, on the side with more space.
fn name_at(
    plot: &Plot,
    root: &DrawingArea<SVGBackend, Shift>,
    (low, high): ((f64, f64), (f64, f64)),
    name: &str,
    value: Option<&str>,
) -> Drawn {
    use plotters::style::text_anchor::{HPos, VPos};
    let area = plot.plotting_area();
    let (columns, _) = area.get_pixel_range();
    let (left, right) = (area.map_coordinate(&low), area.map_coordinate(&high));
    let after = columns.end - right.0 >= left.0 - columns.start;
    let available = f64::from((columns.end - right.0).max(left.0 - columns.start) - 24);
    let value = value.map_or_else(String::new, |value| format!("  {value}"));
    let given = crate::report::units::float_len(value.chars().count()) * CHARACTER;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few dozen characters, clamped to be positive"
    )]
    let most = ((available - given) / CHARACTER).max(3.0) as usize;
    let text = format!("{}{value}", cut(name, most));
    let (at, side) = if after {
        (right.0 + 12, HPos::Left)
    } else {
        (left.0 - 12, HPos::Right)
    };
    #[expect(clippy::cast_possible_truncation, reason = "some hundred pixels")]
    let wide = (crate::report::units::float_len(text.chars().count()) * CHARACTER) as i32;
    let (from, to) = if after {
        (at - 3, at + wide)
    } else {
        (at - wide, at + 3)
    };
    // Grid lines stop before the name.
    root.draw(&Rectangle::new(
        [(from, right.1 - 8), (to, right.1 + 8)],
        WHITE.filled(),
    ))?;
    root.draw(&Text::new(
        text,
        (at, right.1),
        label_style(side, VPos::Center).color(&BLACK),
    ))
}

/// Draws the horizontal axis of a dot plot, with lines at its ticks.
fn value_axis(chart: &Chart, plot: &mut Plot, root: &DrawingArea<SVGBackend, Shift>, values: &Scale) -> Drawn {
    let mut mesh = plot.configure_mesh();
    mesh.disable_mesh()
        .x_labels(0)
        .y_labels(0)
        .disable_y_axis()
        .x_desc(chart.y.name.as_str())
        .axis_desc_style(("sans-serif", 15))
        .draw()?;
    let area = plot.plotting_area();
    let (_, rows) = area.get_pixel_range();
    for tick in values.ticks() {
        let pixel = area.map_coordinate(&(tick, -0.6)).0;
        root.draw(&PathElement::new(
            [(pixel, rows.start), (pixel, rows.end)],
            RGBColor(225, 225, 225),
        ))?;
        let style = label_style(
            plotters::style::text_anchor::HPos::Center,
            plotters::style::text_anchor::VPos::Top,
        );
        let text = label(&chart.y.quantity.text(values.value(tick)));
        root.draw(&Text::new(text, (pixel, rows.end + 8), style))?;
    }
    Ok(())
}

/// Draws the events on the x axis: a vertical line with its label at the top.
fn moments(chart: &Chart, plot: &Plot, root: &DrawingArea<SVGBackend, Shift>, (x, y): (&Scale, &Scale)) -> Drawn {
    let area = plot.plotting_area();
    let (columns, rows) = area.get_pixel_range();
    for (mark, row) in chart.marks.iter().zip((0_i32..).map(|n| n % 4)) {
        let pixel = area.map_coordinate(&(x.place(mark.x), y.low())).0;
        if !columns.contains(&pixel) {
            continue;
        }
        root.draw(&PathElement::new([(pixel, rows.start), (pixel, rows.end)], MARKED))?;
        let style = label_style(
            plotters::style::text_anchor::HPos::Left,
            plotters::style::text_anchor::VPos::Top,
        );
        let at = (pixel + 5, rows.start + 2 + row * 16);
        root.draw(&Text::new(cut(&mark.text, NAME), at, style))?;
    }
    Ok(())
}

fn scales(chart: &Chart) -> (Scale, Scale) {
    let points = || chart.series.iter().flat_map(|s| &s.points);
    let ends = points().flat_map(|p| [p.y, p.low.unwrap_or(p.y), p.high.unwrap_or(p.y)]);
    (
        Scale::over(points().map(|p| p.x), &chart.x, false),
        Scale::over(ends, &chart.y, true),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the index of a category"
)]
fn place(point: &Point) -> usize {
    point.x as usize
}

/// Draws grid, ticks and titles: the ticks of plotters support neither decades nor percentiles.
fn grid(chart: &Chart, plot: &mut Plot, root: &DrawingArea<SVGBackend, Shift>, x: &Scale, y: &Scale) -> Drawn {
    let mut mesh = plot.configure_mesh();
    mesh.disable_mesh()
        .x_labels(0)
        .y_labels(0)
        .x_desc(chart.x.name.as_str())
        .axis_desc_style(("sans-serif", 15))
        .draw()?;
    let area = plot.plotting_area().clone();
    let (columns, rows) = area.get_pixel_range();
    // The title of the axis stands above it: rotated text is hard to read.
    let style = label_style(
        plotters::style::text_anchor::HPos::Left,
        plotters::style::text_anchor::VPos::Bottom,
    );
    root.draw(&Text::new(chart.y.name.clone(), (16, rows.start - 8), style))?;
    for tick in y.ticks() {
        let pixel = area.map_coordinate(&(x.low(), tick)).1;
        root.draw(&PathElement::new(
            [(columns.start, pixel), (columns.end, pixel)],
            RGBColor(225, 225, 225),
        ))?;
        let style = label_style(
            plotters::style::text_anchor::HPos::Right,
            plotters::style::text_anchor::VPos::Center,
        );
        root.draw(&Text::new(
            label(&chart.y.quantity.text(y.value(tick))),
            (columns.start - 8, pixel),
            style,
        ))?;
    }
    for tick in x.ticks() {
        let pixel = area.map_coordinate(&(tick, y.low())).0;
        root.draw(&PathElement::new(
            [(pixel, rows.start), (pixel, rows.end)],
            RGBColor(240, 240, 240),
        ))?;
        let style = label_style(
            plotters::style::text_anchor::HPos::Center,
            plotters::style::text_anchor::VPos::Top,
        );
        root.draw(&Text::new(
            label(&chart.x.quantity.text(x.value(tick))),
            (pixel, rows.end + 8),
            style,
        ))?;
    }
    Ok(())
}

/// Formats a tick label, without empty decimals: `50.00 ms` becomes `50 ms`.
fn label(text: &str) -> String {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    format!("{number} {unit}").trim_end().to_owned()
}

fn label_style(
    horizontal: plotters::style::text_anchor::HPos,
    vertical: plotters::style::text_anchor::VPos,
) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", 13).into_font())
        .color(&RGBColor(60, 60, 60))
        .pos(plotters::style::text_anchor::Pos::new(horizontal, vertical))
}

fn line(series: &Series, plot: &mut Plot, x: &Scale, y: &Scale) -> Drawn {
    let color = color(series.color);
    let at = |p: &Point, value: f64| (x.place(p.x), y.place(value));
    if series.points.iter().any(|p| p.low.is_some()) {
        let upper = series.points.iter().map(|p| at(p, p.high.unwrap_or(p.y)));
        let lower = series.points.iter().rev().map(|p| at(p, p.low.unwrap_or(p.y)));
        let band: Vec<_> = upper.chain(lower).collect();
        plot.draw_series([Polygon::new(band, color.mix(0.15))])?;
    }
    let path: Vec<_> = series.points.iter().map(|p| at(p, p.y)).collect();
    plot.draw_series([PathElement::new(path, color.stroke_width(2))])?;
    // In long lines, mark suspect points only.
    let few = series.points.len() <= 16;
    for point in series.points.iter().filter(|p| few || p.why.is_some()) {
        mark(point, at(point, point.y), series.color, plot)?;
    }
    Ok(())
}

/// Draws the marker of a line: another shape where the palette repeats.
fn mark(point: &Point, at: (f64, f64), index: usize, plot: &mut Plot) -> Drawn {
    marker(
        point,
        at,
        color(index),
        !(index / PALETTE.len()).is_multiple_of(2),
        plot,
    )
}

/// Draws a marker, hollow if suspect.
fn marker(point: &Point, at: (f64, f64), color: RGBColor, triangle: bool, plot: &mut Plot) -> Drawn {
    let (inner, edge) = match point.why {
        Some(_) => (WHITE.filled(), color.stroke_width(2)),
        None => (color.filled(), color.stroke_width(1)),
    };
    if triangle {
        plot.draw_series([TriangleMarker::new(at, 6, inner), TriangleMarker::new(at, 6, edge)])?;
    } else {
        plot.draw_series([Circle::new(at, 4, inner), Circle::new(at, 4, edge)])?;
    }
    Ok(())
}

fn names(chart: &Chart, area: &DrawingArea<SVGBackend, Shift>) -> Drawn {
    for (series, row) in chart.series.iter().zip(0_i32..24) {
        let y = 52 + row * 20;
        area.draw(&PathElement::new(
            [(4, y), (24, y)],
            color(series.color).stroke_width(3),
        ))?;
        let style = label_style(
            plotters::style::text_anchor::HPos::Left,
            plotters::style::text_anchor::VPos::Center,
        );
        area.draw(&Text::new(cut(&series.name, NAME), (30, y), style))?;
    }
    Ok(())
}

fn color(index: usize) -> RGBColor {
    let hex = PALETTE[index % PALETTE.len()].trim_start_matches('#');
    let part = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or(0);
    RGBColor(part(0), part(2), part(4))
}

fn cut(text: &str, width: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    console::truncate_str(&text, width, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn tick_labels_omit_empty_decimals() {
        for (text, short) in [
            ("50.00 ms", "50 ms"),
            ("0.000 req/s", "0 req/s"),
            ("10,000 req/s", "10,000 req/s"),
            ("0.50", "0.5"),
            ("100", "100"),
        ] {
            assert_eq!(label(text), short);
        }
    }
}
