//! The report in a real browser: content, interaction and absence of network access.
//!
//! Requires Chromium (`CHROME` overrides the one on the path). Without it the tests are ignored, or fail under
//! `WSGIBENCH_REQUIRE_BROWSER=1`.

mod browser;
mod functions;
mod history;
#[macro_use]
#[path = "../needs/mod.rs"]
mod needs;
mod faults;
mod real;
#[path = "../report_fixture/mod.rs"]
mod report_fixture;
mod robust;
mod shown;

use std::process::ExitCode;

use needs::Need;

fn main() -> ExitCode {
    let missing = browser::chromium()
        .is_none()
        .then_some("no chromium on the path (apt-get install chromium)");
    let chromium = Need::new(missing, "WSGIBENCH_REQUIRE_BROWSER");
    let tests = trials!(chromium; functions::the_table_ranks_the_slower_function_first, functions::flame_graphs_show_both_arms_and_their_difference, functions::flame_graphs_zoom_and_search_by_keyboard, functions::functions_are_accessible_in_both_themes_wide_and_narrow, history::a_baselines_history_is_told_and_drawn, real::a_real_run_shows_the_figures_of_its_file, real::a_real_run_is_accessible_in_both_themes_wide_and_narrow, robust::markup_in_names_and_logs_stays_text, robust::whatever_a_run_left_the_page_opens_without_an_error, robust::reports_open_small_and_large, robust::a_thousand_servers_in_one_chart_open, shown::the_figures_shown_are_those_of_the_record, shown::hovering_tells_the_value_and_its_interval, shown::a_series_goes_and_comes_by_keyboard_and_stays_gone_when_redrawn, shown::the_table_under_a_chart_has_its_figures, shown::the_first_screen_has_the_answers, shown::names_stand_at_the_points_and_no_text_is_rotated, shown::each_request_of_a_mix_has_its_figures, shown::the_theme_switches_and_both_are_accessible, faults::faults_are_those_of_the_record_and_never_ranked, faults::the_timeline_dips_where_the_fault_is_marked, faults::a_deviation_leads_by_keyboard_to_its_reason, faults::endurance_and_footprint_are_those_of_the_record, faults::faults_are_accessible_in_both_themes_wide_and_narrow);
    let status = needs::run(tests.into());
    browser::stop();
    status
}
