//! What is around a page: styles, navigation, the plots' data and script.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use ring::digest::{SHA256, digest};

use super::plot::Plot;

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/plot.js");

/// A page to be.
pub(crate) struct Page<'p> {
    /// In the window's title.
    pub title: &'p str,
    /// Places that the navigation names: the id of a heading, and the words.
    pub places: &'p [(&'p str, &'p str)],
    /// What is on it.
    pub body: Markup,
    /// Its plots; the body has a [`Plot::place`] for each.
    pub plots: &'p [Plot],
}

/// The whole page.
pub(crate) fn page(page: &Page<'_>) -> String {
    #[derive(serde::Serialize)]
    struct Data<'d> {
        plots: &'d [Plot],
    }
    let data = serde_json::to_string(&Data { plots: page.plots }).expect("plots are plain numbers and text");
    // Inside of a script element only this could end it or begin a comment.
    let data = data.replace('<', "\\u003c");
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()))
    );
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("ninefold-sim ", env!("CARGO_PKG_VERSION")));
                title { (page.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                nav { div {
                    strong { "ninefold" }
                    @for (id, words) in page.places { a href={ "#" (id) } { (words) } }
                    span {}
                    button #theme title="Light or dark" { "theme" }
                } }
                main {
                    (page.body)
                    noscript { p.card { "The plots need JavaScript; all tables are here without it." } }
                    footer { "Written by ninefold-sim " (env!("CARGO_PKG_VERSION")) ". This file loads nothing from anywhere." }
                }
                script #data type="application/json" { (PreEscaped(data)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}
