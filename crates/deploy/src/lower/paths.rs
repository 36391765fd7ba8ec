//! Which module an operation belongs to.
//!
//! A recording knows tensors, not modules. An operation that uses a parameter stands where the
//! parameter does; one that uses none, between the ones before and behind it.

use burn::backend::ir::OperationIr;

use crate::{capture::Recording, fold::Folded};

/// The module of every step, empty for the network itself.
pub(super) fn of_steps(recording: &Recording, folded: &Folded) -> Vec<String> {
    let own: Vec<Option<String>> =
        recording.steps.iter().map(|step| own(recording, folded, &step.first)).collect();
    let mut next: Vec<Option<&str>> = vec![None; own.len()];
    let mut behind = None;
    for (place, own) in next.iter_mut().zip(&own).rev() {
        behind = own.as_deref().or(behind);
        *place = behind;
    }
    let mut before: Option<&str> = None;
    let paths = own.iter().zip(next).map(|(own, next)| {
        before = own.as_deref().or(before);
        match (before, next) {
            (Some(before), Some(next)) => shared(before, next),
            _ => String::new(),
        }
    });
    paths.collect()
}

/// The module of the parameters that an operation uses.
fn own(recording: &Recording, folded: &Folded, operation: &OperationIr) -> Option<String> {
    let names = operation.inputs().filter_map(|input| {
        let constant = folded.constants.get(&input.id).map(|constant| constant.name.as_str());
        let parameter = recording.parameters.get(&input.id).map(|(name, _)| name.as_str());
        constant.or(parameter).filter(|name| !name.is_empty())
    });
    let modules = names.map(|name| name.rsplit_once('.').map_or("", |(module, _)| module));
    modules.map(str::to_owned).reduce(|a, b| shared(&a, &b))
}

/// The module that holds both.
fn shared(a: &str, b: &str) -> String {
    let both = a.split('.').zip(b.split('.')).take_while(|(a, b)| a == b);
    both.map(|(step, _)| step).collect::<Vec<_>>().join(".")
}

/// What the framework calls an operation, or the name of a kernel.
pub(crate) fn name_of(operation: &OperationIr) -> String {
    if let OperationIr::Custom(kernel) = operation {
        return kernel.id.clone();
    }
    let shown = format!("{operation:?}");
    let head = shown.split(" {").next().unwrap_or_default();
    let words = head.split(['(', ' ', ',']).filter(|word| !word.is_empty());
    let mut words: Vec<&str> = words.filter(|word| !word.ends_with("Ir")).collect();
    words.dedup();
    words.join("::")
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn what_two_modules_share_is_a_module() {
        for (a, b, expected) in [
            ("visual.blocks.0.attn.qkv", "visual.blocks.0.attn.proj", "visual.blocks.0.attn"),
            ("visual.blocks.1.mlp.fc2", "visual.blocks.10.norm1", "visual.blocks"),
            ("visual.head", "text", ""),
            ("text", "text", "text"),
        ] {
            assert_eq!(shared(a, b), expected);
        }
    }
}
