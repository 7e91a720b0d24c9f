package message_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/doubling"
	"github.com/angarium/angarium/internal/message"
)

// TestA20: encoded words and charsets that are no words and no charsets take
// linear time and no more memory than text of that length may.
func TestA20(t *testing.T) {
	for name, shape := range doubling.Words {
		doubling.Check(t, name, 100<<10, func(n int) func() {
			text := shape(n)
			return func() { message.DecodeHeader(text) }
		})
		const n = 256 << 10
		if got := len(message.DecodeHeader(shape(n))); got > 3*n {
			t.Errorf("%s: %d octets became %d", name, n, got)
		}
	}
}

// TestA20Subjects: what SORT and THREAD make of a subject.
func TestA20Subjects(t *testing.T) {
	for name, shape := range map[string]func(n int) string{
		"blobs":            func(n int) string { return strings.Repeat("[a]", n) + "b" },
		"blobs, then re":   func(n int) string { return strings.Repeat("[a]", n) + "re: b" },
		"blobs, then rest": func(n int) string { return strings.Repeat("[a]", n) + "red" },
		"re":               func(n int) string { return strings.Repeat("re: ", n) },
		"blobs and re":     func(n int) string { return strings.Repeat("[a] re [b]: ", n) },
		"forwarded":        func(n int) string { return strings.Repeat("[fwd:", n) + strings.Repeat("]", n) },
		"forwarded, blobs": func(n int) string {
			return strings.Repeat("[fwd:", n) + strings.Repeat("[a]", n) + strings.Repeat("]", n)
		},
		"trailers":          func(n int) string { return "a" + strings.Repeat("(fwd)", n) },
		"open brackets":     func(n int) string { return strings.Repeat("[", n) },
		"open, then closed": func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) },
		"spaces":            func(n int) string { return strings.Repeat(" ", n) + "a" + strings.Repeat(" ", n) },
		"spaced blobs":      func(n int) string { return strings.Repeat("[a] ", n) + "b" + strings.Repeat(" ", n) },
		"forwarded, spaced": func(n int) string { return strings.Repeat("[fwd: ", n) + "[a]" + strings.Repeat(" ]", n) },
	} {
		doubling.Check(t, name, 10_000, func(n int) func() {
			text := shape(n)
			return func() { message.BaseSubject(text) }
		})
	}
}

// TestA15: parts, boundaries, fields, parameters, addresses and references made
// to be slow take linear time (also A16 to A19).
func TestA15(t *testing.T) {
	for name, shape := range doubling.Messages {
		doubling.Check(t, name, 100<<10, func(n int) func() {
			text := []byte(shape(n))
			return func() { message.Parse(text) }
		})
	}
}

// TestHeaderMemory: of a header no more is kept while it is read than one field
// takes, and nothing of fields that are not looked at.
func TestHeaderMemory(t *testing.T) {
	for name, field := range map[string]string{
		"short fields":  "Subject: x\r\n",
		"unknown":       "X-Long: " + strings.Repeat("x", 200<<10) + "\r\n",
		"continuations": "X-Long: x\r\n" + strings.Repeat(" x\r\n", 1000),
	} {
		text := []byte(strings.Repeat(field, 1+1<<20/len(field)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		message.NewParser().Write(text)
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<10 {
			t.Errorf("%s: %d octets allocated for a header of %d", name, allocated, len(text))
		}
	}
}
