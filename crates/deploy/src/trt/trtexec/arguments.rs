//! The arguments of `trtexec`, which changed with its versions.
//!
//! Source: NVIDIA's migration pages from 8 to 10 and from 10 to 11.

use std::path::Path;

use super::{Order, Version};
use crate::trt::profile::InputShapes;

/// What builds `order` into the file `engine`.
pub fn arguments(version: Version, order: &Order, engine: &Path) -> Vec<String> {
    let mut arguments = vec![
        format!("--onnx={}", order.onnx.display()),
        format!("--saveEngine={}", engine.display()),
        format!("--device={}", order.gpu),
    ];
    if order.profile.open {
        let inputs = &order.profile.inputs;
        let all = |of: fn(&InputShapes) -> &[i64]| {
            let shapes = inputs.iter().map(|input| format!("{}:{}", input.name, sides(of(input))));
            shapes.collect::<Vec<_>>().join(",")
        };
        arguments.push(format!("--minShapes={}", all(|input| &input.min)));
        arguments.push(format!("--optShapes={}", all(|input| &input.opt)));
        arguments.push(format!("--maxShapes={}", all(|input| &input.max)));
    }
    if order.workspace > 0 {
        arguments.push(match version >= Version(8, 4, 0) {
            true => format!("--memPoolSize=workspace:{}", order.workspace),
            false => format!("--workspace={}", order.workspace),
        });
    }
    // The types of the graph are law: always from 11 on, with this word from 10 on. Before, they are
    // what the builder prefers among the types that it may use.
    match version.0 {
        11.. => {}
        10 => arguments.push("--stronglyTyped".to_owned()),
        _ if order.half => arguments.push("--fp16".to_owned()),
        _ => {}
    }
    if let Some(cache) = &order.timing_cache {
        arguments.push(format!("--timingCacheFile={}", cache.display()));
    }
    if version >= Version(8, 4, 0) {
        arguments.push("--profilingVerbosity=detailed".to_owned());
    }
    // Only the engine is wanted, not how fast it is.
    let no_run = if version >= Version(8, 6, 0) { "--skipInference" } else { "--buildOnly" };
    arguments.push(no_run.to_owned());
    if order.verbose {
        arguments.push("--verbose".to_owned());
    }
    arguments
}

/// `1x3x224x224`.
fn sides(shape: &[i64]) -> String {
    shape.iter().map(i64::to_string).collect::<Vec<_>>().join("x")
}
