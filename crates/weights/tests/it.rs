//! Tests of `hearth-weights` against files on disk and small Burn modules.

#[cfg(test)]
mod it {
    mod bytes;
    mod file;
    mod folder;
    mod golden;
    mod hostile;
    mod hub;
    mod keymap;
    mod load;
    mod loopback;
    mod model;
    mod module;
    mod pickles;
    mod pytorch;
    mod save;
}
