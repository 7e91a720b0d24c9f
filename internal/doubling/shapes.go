package doubling

import (
	"fmt"
	"strings"
)

// A Shape makes a text of about n octets, or of n pieces.
type Shape func(n int) string

func repeated(text string) Shape {
	return func(n int) string { return strings.Repeat(text, n/len(text)) }
}

func field(before, text string) Shape {
	return func(n int) string { return before + strings.Repeat(text, n/len(text)) + "\r\n\r\n" }
}

// Words are header texts of n octets, with encoded words that are hard to read
// or none (A20).
var Words = map[string]Shape{
	"openings":            repeated("=?"),
	"no end":              repeated("=?a?q?b "),
	"no text":             repeated("=?a?q?"),
	"words":               repeated("=?utf-8?q?=C3=A4?= "),
	"unknown charsets":    repeated("=?x-none?b?AAAA?= "),
	"charsets in turn":    repeated("=?utf-8?q?a?= =?iso-8859-1?q?b?= "),
	"languages":           repeated("=?utf-8*de*en*fr?q?a?= "),
	"iso-2022-jp escapes": func(n int) string { return "=?iso-2022-jp?b?" + strings.Repeat("GyRCGyhC", n/8) + "?=" },
	"iso-2022-jp words":   repeated("=?iso-2022-jp?b?GyRC?= "),
	"utf-16, odd":         repeated("=?utf-16?b?2AA=?= "),
	"utf-7":               repeated("=?utf-7?q?+AGE-?= "),
	"base64 of nothing":   repeated("=?utf-8?b?====?= "),
	"8 bit":               repeated("\xff\xfe\x80"),
}

// Messages of n octets (A15 to A19, A21).
var Messages = map[string]Shape{
	"address comments": field("To: ", "("),
	"address groups":   field("To: ", "a:"),
	"address quotes":   field("To: ", `"a" `),
	"address angles":   field("To: ", "<"),
	"address dots":     field("To: ", "a."),
	"addresses":        field("To: x@y", ",\r\n a@b"),
	"address fields":   repeated("To: a@b\r\n"),
	"parameters":       field("Content-Type: a/b", "; a*0=b"),
	"parameter pieces": func(n int) string {
		var b strings.Builder
		b.WriteString("Content-Type: a/b")
		for i := n / 12; i > 0; i-- { // the last first
			fmt.Fprintf(&b, ";\r\n n*%d*=x", i)
		}
		return b.String() + "\r\n\r\n"
	},
	"words":            field("Subject: ", "=?utf-8?q?a?= "),
	"words' openings":  field("Subject: ", "=?"),
	"references":       field("References: ", "<a@b> "),
	"references, open": field("References: ", "<"),
	"folds":            field("Subject: a", "\r\n b"),
	"no colons":        repeated("a\r\n"),
	"boundaries, near": field("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--bx\r\n"),
	"parts":            field("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\n\r\n"),
	"digest":           field("Content-Type: multipart/digest; boundary=b\r\n\r\n", "--b\r\n\r\nTo: a\r\n\r\n"),
	"depth, messages":  repeated("Content-Type: message/rfc822\r\n\r\n"),
	"depth, multiparts": func(n int) string {
		var b strings.Builder
		for i := range n / 55 {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		return b.String()
	},
	"depth, prefixes": func(n int) string {
		var b strings.Builder
		for i := range min(n/200, 100) {
			name := strings.Repeat("a", i+1)
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n", name, name)
		}
		return b.String() + strings.Repeat("--"+strings.Repeat("a", 200)+"\r\n", max(0, n-b.Len())/204)
	},
}

// Threaded is one message for THREAD.
type Threaded struct {
	ID      string // without brackets; "": none
	Refs    []string
	Subject string
	Reply   bool
}

// Threads give the i-th of n messages (A21).
var Threads = map[string]func(i, n int) Threaded{
	"chain":       func(i, _ int) Threaded { return Threaded{ID: id(i), Refs: []string{id(i - 1)}} },
	"backwards":   func(i, _ int) Threaded { return Threaded{ID: id(i), Refs: []string{id(i + 1)}} },
	"cycle":       func(i, n int) Threaded { return Threaded{ID: id(i), Refs: []string{id((i + 1) % n)}} },
	"itself":      func(i, _ int) Threaded { return Threaded{ID: id(i), Refs: []string{id(i), id(i)}} },
	"one id":      func(int, int) Threaded { return Threaded{ID: "same", Refs: []string{"same"}} },
	"one subject": func(i, _ int) Threaded { return Threaded{ID: id(i), Subject: "S", Reply: i%2 == 0} },
	"one field": func(i, n int) Threaded {
		if i == 0 {
			return Threaded{ID: id(n), Refs: ids(n)}
		}
		return Threaded{ID: id(i)}
	},
	// Each second message has a child below it when it is hung below the end of
	// a chain as long as all of them.
	"below a chain": func(i, n int) Threaded {
		switch {
		case i == 0:
			return Threaded{Refs: ids(n)}
		case i%2 == 1:
			return Threaded{Refs: []string{fmt.Sprint("x", i), fmt.Sprint("y", i)}}
		}
		return Threaded{Refs: []string{id(n - 1), fmt.Sprint("x", i-1)}}
	},
	"two ends": func(i, n int) Threaded {
		if i%2 == 0 {
			return Threaded{Refs: []string{id(i), id(i + 2)}}
		}
		return Threaded{Refs: []string{id(n + i + 2), id(n + i), id(0)}}
	},
}

func id(i int) string { return fmt.Sprint("id", i) }

func ids(n int) (all []string) {
	for i := range n {
		all = append(all, id(i))
	}
	return all
}
