package search

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/message"
)

func fold(s string) []byte { return message.AppendFold(nil, []byte(s)) }

// TestFuzzy: the matcher of RFC 6203 §3 and its scores (§4).
func TestFuzzy(t *testing.T) {
	for _, tc := range []struct {
		key, text string
		want      int
	}{
		{"Helo", "helo", scoreWhole},
		{"Helo", "Say hello, please", scoreSlip}, // §4: a character too few
		{"Helo", "help!", scoreSlip},             // §4: a wrong one
		{"Helo", "hleo", scoreSlip},              // two in each other's place
		{"Helo", "yellow", scoreNone},
		{"Helo", "hell", scoreSlip},
		{"Helo", "xhelox", scoreWhole}, // exact matching is of substrings
		{"IMAP break", "an IMAP break", scoreWhole},
		{"IMAP break", "breaks in IMAP", (scoreWord + scorePart) / 2},
		{"IMAP break", "IMAP: breka", (scoreWord + scoreSlip) / 2},
		{"IMAP break", "IMAP only", scoreNone}, // every word must be there
		{"of it", "it of", scoreWord},
		{"of", "on", scoreNone}, // short words are not misspelled
		{"accomodate", "accommodate", scoreSlip},
		{"acomodate", "accommodate", scoreTwo},
		{"acomodate", "accomodating", scoreNone},
		{"müller", "MÜLLER", scoreWhole},
		{"muller", "müller", scoreSlip}, // the mark is a character
		{"привет", "превет", scoreSlip},
		{"", "anything", scoreWhole},
		{"!?", "what!?", scoreWhole},
		{"!?", "what?!", scoreNone},
		{"hello", "hell\xffo", scoreSlip},
		{strings.Repeat("abcd ", fuzzyWordsMax) + "abcd", "abcd", scoreNone}, // too many words
		{strings.Repeat("x", fuzzyWordMax+1), strings.Repeat("x", fuzzyWordMax), scoreNone},
		{strings.Repeat("x", fuzzyWordMax), strings.Repeat("x", fuzzyWordMax-2), scoreTwo},
	} {
		f := newFuzzy(fold(tc.key)).start()
		f.look(fold(tc.text))
		if got := f.score(); got != tc.want {
			t.Errorf("%q in %q: %d, want %d", tc.key, tc.text, got, tc.want)
		}
	}
}

// plainDistance is the whole table.
func plainDistance(a, b []rune) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = d[i-1][j-1] + 1
			}
			d[i][j] = min(d[i][j], d[i-1][j]+1, d[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// FuzzDistance compares with the whole table, and exact matching with fuzzy
// matching, which must find all that it finds.
func FuzzDistance(f *testing.F) {
	f.Add("accommodate", "acomodate")
	f.Add("helo", "hleo")
	f.Add("ab cd", "xab cdx")
	f.Fuzz(func(t *testing.T, key, text string) {
		if len(key) > 200 || len(text) > 2000 {
			return
		}
		needle, folded := fold(key), fold(text)
		n := newFuzzy(needle)
		found := n.start()
		found.look(folded)
		if bytes.Contains(folded, needle) && found.score() != scoreWhole {
			t.Errorf("%q is in %q, score %d", needle, folded, found.score())
		}
		for _, w := range n.words {
			for other := range words(folded) {
				if w.slips == 0 || len(other) > (len(w.runes)+w.slips)*4 {
					continue
				}
				want := plainDistance(w.runes, []rune(string(other)))
				if got := w.distance(other); (got <= w.slips || want <= w.slips) && got != want {
					t.Errorf("%q and %q: %d, want %d", w.text, other, got, want)
				}
			}
		}
	})
}

// TestFuzzyLinear: four times the text costs about four times as much, of long
// words and of short ones (RFC 6203 §8).
func TestFuzzyLinear(t *testing.T) {
	f := newFuzzy(fold(strings.Repeat("accommodate ", fuzzyWordsMax-1) + "zz"))
	for _, word := range []string{"acomodating ", "x", "a ", "\xff", "é"} {
		cost := func(n int) time.Duration {
			text, best := bytes.Repeat([]byte(word), n/len(word)), time.Hour
			for range 3 {
				start := time.Now()
				f.start().look(text)
				best = min(best, time.Since(start))
			}
			return best
		}
		if small, large := cost(64<<10), cost(256<<10); large > 16*small+10*time.Millisecond {
			t.Errorf("%q: 64 KiB took %v, 256 KiB %v", word, small, large)
		}
	}
}
