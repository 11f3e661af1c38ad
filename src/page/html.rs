//! Pieces of HTML: escaped text, tables, and bytes as data URIs.

/// Returns text as HTML shows it, also within an attribute in double quotes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

/// Returns bytes as a data URI of a media type ("image/gif").
pub fn data_uri(media: &str, bytes: &[u8]) -> String {
    format!("data:{media};base64,{}", base64(bytes))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                let index = (word >> (18 - 6 * digit)) & 63;
                out.push(char::from(DIGITS[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// Returns a table in a box that scrolls sideways where it is too wide. The first column and the first row are headings; cells are
/// text and are escaped here.
pub fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let cell = |tag: &str, text: &String| format!("<{tag}>{}</{tag}>", escaped(text));
    let heads: String = head.iter().map(|text| cell("th", text)).collect();
    let mut out = format!("<div class=\"wide\"><table><thead><tr>{heads}</tr></thead><tbody>\n");
    for row in rows {
        let cells = row.iter().enumerate();
        let cells: String = cells
            .map(|(at, text)| cell(if at == 0 { "th" } else { "td" }, text))
            .collect();
        out += &format!("<tr>{cells}</tr>\n");
    }
    out + "</tbody></table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, code) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), code);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn no_text_ends_an_attribute_or_opens_a_tag() {
        let text = escaped("<b onclick=\"x\">'&amp;'");
        assert_eq!(text, "&lt;b onclick=&quot;x&quot;&gt;&#39;&amp;amp;&#39;");
    }
}
