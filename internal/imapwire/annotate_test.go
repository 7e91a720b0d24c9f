package imapwire

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestAnnotationValues: the grammar of RFC 5257 §5 att-annotate, and what §3.2
// forbids.
func TestAnnotationValues(t *testing.T) {
	for text, want := range map[string]string{
		`(/comment (value.priv "My new comment" value.shared "foo's bar"))`:          `/comment true "My new comment", /comment false "foo's bar"`,
		`(/comment (value.shared NIL) "/altsubject" ("value.priv" {2+}` + "\r\nab))": `/comment false NIL, /altsubject true "ab"`,
		`(/1.2/comment (value.priv ~{2+}` + "\r\n\x00b))":                            `/1.2/comment [1 2] true "\x00b"`,
		`(/2/flags/answered (value.priv "0" value.shared NIL))`:                      `/2/flags/answered [2] true "0", /2/flags/answered [2] false NIL`,
		`(/vendor/foobar/label.priv (value.priv ""))`:                                `/vendor/foobar/label.priv true ""`,
		`(/2/vendor/x (value.priv 1))`:                                               ``,
		`()`:                                                                         ``,
		`(/comment ())`:                                                              ``,
		`(/comment)`:                                                                 ``,
		`(/comment (value "x"))`:                                                     ``,
		`(/comment (VALUE.PRIV "x"))`:                                                ``,
		`(/comment (size.priv "1"))`:                                                 ``,
		`(/Comment (value.priv "x"))`:                                                ``, // §3.2: names are case-sensitive
		`(comment (value.priv "x"))`:                                                 ``,
		`("" (value.priv "x"))`:                                                      ``,
		`(/ (value.priv "x"))`:                                                       ``,
		`(/flags/seen (value.priv "1"))`:                                             ``, // §3.5
		`(/1 (value.priv "x"))`:                                                      ``,
		`(/1/flags/draft (value.priv "1"))`:                                          ``,
		`(/1/flags/seen (value.priv "true"))`:                                        ``,
		`(/1/altsubject (value.priv "x"))`:                                           ``,
		`(/0/comment (value.priv "x"))`:                                              ``,
		`(/01/comment (value.priv "x"))`:                                             ``,
		`(/1./comment (value.priv "x"))`:                                             ``,
		`(/1..2/comment (value.priv "x"))`:                                           ``,
		`(/1a/comment (value.priv "x"))`:                                             ``,
		`(/99999999999/comment (value.priv "x"))`:                                    ``,
		`(//comment (value.priv "x"))`:                                               ``,
		`(/vendor/ (value.priv "x"))`:                                                ``,
		`(/vendor (value.priv "x"))`:                                                 ``,
		`("/vendor/*" (value.priv "x"))`:                                             ``,
		`("/vendor/é" (value.priv "x"))`:                                             ``,
		`(/vendor/` + strings.Repeat("x", AnnotationNameMax) + ` (value.priv "x"))`: ``,
	} {
		d, _ := decode(t, text)
		values := d.AnnotationValues()
		d.End()
		var got []string
		for _, v := range values {
			s := v.Name
			if v.Part != nil {
				s += fmt.Sprint(" ", v.Part)
			}
			if s += fmt.Sprint(" ", v.Private); v.Value == nil {
				s += " NIL"
			} else {
				s += fmt.Sprintf(" %q", v.Value)
			}
			got = append(got, s)
		}
		if (d.Err() != nil) != (want == "") || want != "" && strings.Join(got, ", ") != want {
			t.Errorf("%.100q: %v, %q, want %q", text, d.Err(), got, want)
		}
	}
}

// TestAnnotationFetch: entries and attributes, one or several.
func TestAnnotationFetch(t *testing.T) {
	for text, want := range map[string][]string{
		`ANNOTATION (/comment value)`:                             {"/comment", "value.priv value.shared"},
		`ANNOTATION (/* (value.priv size.priv))`:                  {"/*", "value.priv size.priv"},
		`(ANNOTATION ((/comment "/%") (size value.shared size)))`: {"/comment /%", "size.priv size.shared value.shared"},
		`ANNOTATION (/1.2/* value)`:                               {"/1.2/*", "value.priv value.shared"},
		`ANNOTATION (* value)`:                                    {"*", "value.priv value.shared"},
		`ANNOTATION (/%/comment value)`:                           {"/%/comment", "value.priv value.shared"},
		`ANNOTATION`:                                              nil,
		`ANNOTATION ()`:                                           nil,
		`ANNOTATION (() value)`:                                   nil,
		`ANNOTATION (/comment ())`:                                nil,
		`ANNOTATION (/comment content-type)`:                      nil,
		`ANNOTATION (/1.0/* value)`:                               nil,
		`ANNOTATION (/x/ value)`:                                  nil,
		`ANNOTATION ((` + strings.Repeat("/a ", AnnotationEntriesMax) + `/b) value)`: nil,
	} {
		d, _ := decode(t, text)
		items := d.FetchItems()
		d.End()
		if (d.Err() != nil) != (want == nil) {
			t.Errorf("%.100q: %v", text, d.Err())
		}
		if d.Err() != nil {
			continue
		}
		var names []string
		for _, e := range items[0].Annotation.Entries {
			names = append(names, e.Name)
		}
		if got := []string{strings.Join(names, " "), strings.Join(items[0].Annotation.Attributes, " ")}; !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestEntryPattern compares the matcher with an expression: RFC 5257 §4.3.
func TestEntryPattern(t *testing.T) {
	expression := func(pattern string) *regexp.Regexp {
		s := strings.NewReplacer(`\*`, `.+`, `%`, `[^/]+`).Replace(regexp.QuoteMeta(pattern))
		return regexp.MustCompile("^(?s:" + s + ")$")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	text := func(letters string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	matched := 0
	for range 20_000 {
		pattern, name := text("a/%*", 1+rng.IntN(9)), text("a/", rng.IntN(12))
		if rng.IntN(10) == 0 { // over the borders of words
			long := text("ab/", 60+rng.IntN(80))
			pattern, name = long+pattern, long+name
		}
		want := expression(pattern).MatchString(name)
		if want {
			matched++
		}
		if got := NewEntryPattern(pattern).Match(name); got != want {
			t.Fatalf("%q matches %q: %v", pattern, name, got)
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matched", matched)
	}
	full := strings.Repeat("*", AnnotationNameMax)
	if p := NewEntryPattern(full); !p.Match(strings.Repeat("/", AnnotationNameMax)) || p.Match(strings.Repeat("x", AnnotationNameMax-1)) {
		t.Error("the longest pattern")
	}
}

// FuzzAnnotations: names that are taken are valid, whatever is around them.
func FuzzAnnotations(f *testing.F) {
	fuzzDecoder(f, func(d *Decoder) {
		values := d.AnnotationValues()
		d.Space()
		items := d.FetchItems()
		d.Space()
		_, key := d.SearchProgram()
		if d.Err() != nil {
			return
		}
		for _, v := range values {
			if !strings.HasPrefix(v.Name, "/") || strings.HasSuffix(v.Name, "/") || strings.ContainsAny(v.Name, "*%\x00\r\n") || !NewEntryPattern(v.Name).Match(v.Name) {
				panic("an invalid name: " + v.Name)
			}
		}
		for _, i := range items {
			if i.Annotation != nil && len(i.Annotation.Entries)*len(i.Annotation.Attributes) == 0 {
				panic("nothing is asked for")
			}
		}
		if key == nil {
			panic("no search")
		}
	}, "(/comment (value.priv {3+}\r\nabc) /1.2/flags/seen (value.shared \"1\")) (ANNOTATION ((/* /%) (value size.priv))) ANNOTATION * value.priv ~{1+}\r\nx\r\n",
		"(/vendor/x (value.priv NIL)) ANNOTATION (/1/comment value) OR ANNOTATION /comment value NIL ALL\r\n")
}
