//! stub
pub fn render(_page: &mut String) {}
