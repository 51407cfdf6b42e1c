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

/// Size of a picture in pixels.
const SIZE: (u32, u32) = (960, 540);

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
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
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

fn draw(chart: &Chart, area: &DrawingArea<SVGBackend, Shift>) -> Drawn {
    area.fill(&WHITE)?;
    let (x, y) = scales(chart);
    let categorical = !chart.categories.is_empty();
    // The legend is to the right of the plot. Category charts need none: their axis names the categories.
    let legend = !categorical || chart.kind == Kind::Stack;
    let (left, right) = area.split_horizontally(if legend { SIZE.0 - 210 } else { SIZE.0 - 20 });
    let mut plot = ChartBuilder::on(&left)
        .caption(cut(&chart.title, 70), ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(if categorical { 110 } else { 48 })
        .y_label_area_size(92)
        .build_cartesian_2d(x.range(), y.range())?;
    grid(chart, &mut plot, &left, &x, &y)?;
    for series in &chart.series {
        match chart.kind {
            Kind::Lines => line(series, &mut plot, &x, &y)?,
            Kind::Intervals | Kind::Dots => dots(series, &mut plot, &x, &y)?,
            Kind::Stack => {}
        }
    }
    if chart.kind == Kind::Stack {
        stack(chart, &mut plot, &y)?;
    }
    moments(chart, &plot, &left, (&x, &y))?;
    if legend {
        names(chart, &right)?;
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
    let x = if chart.categories.is_empty() {
        Scale::over(points().map(|p| p.x), &chart.x, false)
    } else {
        Scale::categories(chart.categories.len())
    };
    let y = if chart.kind == Kind::Stack {
        Scale::over(totals(chart).into_iter(), &chart.y, true)
    } else {
        let ends = points().flat_map(|p| [p.y, p.low.unwrap_or(p.y), p.high.unwrap_or(p.y)]);
        Scale::over(ends, &chart.y, true)
    };
    (x, y)
}

fn totals(chart: &Chart) -> Vec<f64> {
    let mut totals = vec![0.0; chart.categories.len()];
    for point in chart.series.iter().flat_map(|s| &s.points) {
        if let Some(total) = totals.get_mut(place(point)) {
            *total += point.y;
        }
    }
    totals
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
    let categorical = !chart.categories.is_empty();
    let mut mesh = plot.configure_mesh();
    mesh.disable_mesh()
        .x_labels(0)
        .y_labels(0)
        .y_desc(chart.y.name.as_str());
    if !categorical {
        mesh.x_desc(chart.x.name.as_str());
    }
    mesh.axis_desc_style(("sans-serif", 15)).draw()?;
    let area = plot.plotting_area().clone();
    let (columns, rows) = area.get_pixel_range();
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
    if categorical {
        let step = chart.categories.len().div_ceil(28).max(1);
        for (index, name) in chart.categories.iter().enumerate().step_by(step) {
            let at = crate::report::units::float_len(index);
            let pixel = area.map_coordinate(&(at, y.low())).0;
            let style = label_style(
                plotters::style::text_anchor::HPos::Right,
                plotters::style::text_anchor::VPos::Center,
            )
            .transform(FontTransform::Rotate270);
            root.draw(&Text::new(cut(name, 16), (pixel, rows.end + 8), style))?;
        }
        return Ok(());
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

fn dots(series: &Series, plot: &mut Plot, x: &Scale, y: &Scale) -> Drawn {
    let color = color(series.color);
    for point in &series.points {
        let column = x.place(point.x);
        if let (Some(low), Some(high)) = (point.low, point.high) {
            let ends = [(column, y.place(low)), (column, y.place(high))];
            plot.draw_series([PathElement::new(ends, color.stroke_width(3))])?;
        }
        mark(point, (column, y.place(point.y)), series.color, plot)?;
    }
    Ok(())
}

/// Draws a marker: hollow if suspect, with another shape where the palette repeats.
fn mark(point: &Point, at: (f64, f64), index: usize, plot: &mut Plot) -> Drawn {
    let color = color(index);
    let (inner, edge) = match point.why {
        Some(_) => (WHITE.filled(), color.stroke_width(2)),
        None => (color.filled(), color.stroke_width(1)),
    };
    if (index / PALETTE.len()).is_multiple_of(2) {
        plot.draw_series([Circle::new(at, 4, inner), Circle::new(at, 4, edge)])?;
    } else {
        plot.draw_series([TriangleMarker::new(at, 6, inner), TriangleMarker::new(at, 6, edge)])?;
    }
    Ok(())
}

fn stack(chart: &Chart, plot: &mut Plot, y: &Scale) -> Drawn {
    let mut reached = vec![0.0; chart.categories.len()];
    for series in &chart.series {
        for point in &series.points {
            let Some(bottom) = reached.get_mut(place(point)) else {
                continue;
            };
            let top = *bottom + point.y;
            let corners = [(point.x - 0.35, y.place(*bottom)), (point.x + 0.35, y.place(top))];
            plot.draw_series([Rectangle::new(corners, color(series.color).filled())])?;
            *bottom = top;
        }
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
