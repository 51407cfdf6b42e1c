//! Values for the parameters of `#[server]` functions.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[server(workers = [])]
fn no_value(workers: usize) -> Server {
    Server::dockerfile("x")
}

#[server(worker = [1, 2])]
fn misspelt(workers: usize) -> Server {
    Server::dockerfile("x")
}

#[server(workers = 2)]
fn not_a_list(workers: usize) -> Server {
    Server::dockerfile("x")
}

#[server(workers = [1], workers = [2])]
fn twice(workers: usize) -> Server {
    Server::dockerfile("x")
}

#[server(workers = [1], cases(small(workers = 1, threads = 1), large(threads = 4)))]
fn in_both(workers: usize, threads: usize) -> Server {
    Server::dockerfile("x")
}

#[server(cases(small(workers = 1, threads = 1), large(threads = 4)))]
fn incomplete(workers: usize, threads: usize) -> Server {
    Server::dockerfile("x")
}

#[server(cases = [1])]
fn of_an_option(cases: usize) -> Server {
    Server::dockerfile("x")
}

#[server(a = [1], b = [1], c = [1], d = [1], e = [1], f = [1], g = [1])]
fn seven(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) -> Server {
    Server::dockerfile("x")
}

#[server(threads = ["four"])]
fn of_another_type(threads: usize) -> Server {
    Server::dockerfile("x")
}

struct Threads;

#[server(threads = [Threads])]
fn without_a_text(threads: Threads) -> Server {
    Server::dockerfile("x")
}

fn main() {}
