package imapwire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/mail"
)

// keyText writes a search key as nested lists.
func keyText(k *SearchKey) string {
	var parts []string
	for _, sub := range k.Keys {
		parts = append(parts, keyText(sub))
	}
	inner := strings.Join(parts, " ")
	switch k.Op {
	case SearchAnd:
		return "(" + inner + ")"
	case SearchOr:
		return "or(" + inner + ")"
	case SearchNot:
		return "not " + inner
	case SearchAll:
		return "all"
	case SearchText:
		return "text " + k.Text
	case SearchHeader:
		return k.Field + " " + k.Text
	case SearchLabel:
		return "label " + k.Text
	case SearchAttachment:
		return strings.TrimSpace("file " + k.Text)
	case SearchFlag:
		return "flag " + mail.NewFlags(k.Flag).String()
	case SearchBefore, SearchSince:
		return fmt.Sprintf("%d %s", k.Op, k.Day.Format("2006-01-02"))
	}
	return fmt.Sprintf("%d %d", k.Op, k.Size)
}

// TestQuery holds the examples of the help of Gmail's search box, as far as
// they are understood.
func TestQuery(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "all",
		"  ":                               "all",
		"from:amy":                         "(FROM amy)",
		"to:me@example.org":                "(TO me@example.org)",
		"cc:John bcc:mary@example.org":     "(CC John BCC mary@example.org)",
		"subject:dinner":                   "(SUBJECT dinner)",
		`subject:"anniversary party"`:      "(SUBJECT anniversary party)",
		"after:2004/04/16":                 fmt.Sprintf("(%d 2004-04-16)", SearchSince),
		"newer:04/16/2004":                 fmt.Sprintf("(%d 2004-04-16)", SearchSince),
		"before:2004-04-18 older:2004/4/8": fmt.Sprintf("(%d 2004-04-18 %d 2004-04-08)", SearchBefore, SearchBefore),
		"older_than:1y":                    fmt.Sprintf("(%d %d)", SearchOlder, 365*86400),
		"newer_than:2d":                    fmt.Sprintf("(%d %d)", SearchYounger, 2*86400),
		"from:amy OR from:david":           "(or(FROM amy FROM david))",
		"from:amy OR from:david is:unread": `(or(FROM amy FROM david) not flag \Seen)`,
		"a OR b OR c d":                    "(or(text a text b text c) text d)",
		"from:amy AND to:david":            "(FROM amy TO david)",
		"{from:amy from:david}":            "(or(FROM amy FROM david))",
		"{from:amy}":                       "(or(FROM amy))",
		"dinner -movie":                    "(text dinner not text movie)",
		"--movie":                          "(text movie)",
		"-(a b)":                           "(not (text a text b))",
		"has:attachment":                   "(file)",
		"filename:pdf":                     "(file pdf)",
		"list:info@example.com":            "(List-Id info@example.com)",
		"deliveredto:a@example.org":        "(Delivered-To a@example.org)",
		"rfc822msgid:<200@example.org>":    "(Message-ID <200@example.org>)",
		`"dinner and movie tonight"`:       "(text dinner and movie tonight)",
		"+unicorn":                         "(text unicorn)",
		"subject:(dinner movie)":           "((SUBJECT dinner SUBJECT movie))",
		"subject:{dinner movie}":           "(or(SUBJECT dinner SUBJECT movie))",
		`from:(amy OR "David M")`:          "((or(FROM amy FROM David M)))",
		"in:anywhere":                      "(all)",
		"in:inbox in:sent in:drafts":       `(label \Inbox label \Sent label \Draft)`,
		"in:unread label:muy-importante":   `(not flag \Seen label muy-importante)`,
		"is:starred is:important is:read":  `(label \Starred label \Important flag \Seen)`,
		"label:foo/bar":                    "(label foo/bar)",
		"size:1000000":                     fmt.Sprintf("(%d 1000000)", SearchLarger),
		"larger:10M smaller:5kb":           fmt.Sprintf("(%d %d %d %d)", SearchLarger, 10<<20, SearchSmaller, 5<<10),
		"http://example.org":               "(text http://example.org)",
		"or and ORDER":                     "(text or text and text ORDER)",
		"FROM:amy":                         "(FROM amy)",
		"from: amy":                        "(FROM amy)",
		"ä(ö)":                             "(text ä (text ö))",
	} {
		key, err := ParseQuery(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := keyText(key); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
	words := func(n int) string { return strings.Repeat("a ", n) }
	groups := func(n int) string { return strings.Repeat("(", n) + "a" + strings.Repeat(")", n) }
	for _, in := range []string{words(QueryWordsMax), groups(DepthMax), strings.Repeat("-", 100_000) + "a"} {
		if _, err := ParseQuery(in); err != nil {
			t.Errorf("%.20s…: %v", in, err)
		}
	}
	for _, in := range []string{
		"(", ")", "()", "{}", "(a", "a)", "(a}", `"a`, "from:", "from:()", "OR", "a OR", "-", "a -", "AND", "is:odd", "has:drive", "category:social",
		"larger:x", "larger:", "larger:99999999999", "after:yesterday", "older_than:d", "older_than:0d", "older_than:5w", `newer_than:""`,
		words(QueryWordsMax + 1), groups(DepthMax + 1), strings.Repeat("(", 100_000),
	} {
		if key, err := ParseQuery(in); err == nil {
			t.Errorf("%.40q was taken as %s", in, keyText(key))
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{`from:(a OR "b c") -{d e} is:unread larger:1M after:2004/04/16`, "((", "a OR OR b", "-+-x", "in:", `subject:"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseQuery(text)
		if err == nil && keyText(key) == "" || err != nil && key == nil {
			t.Error("no key")
		}
	})
}
