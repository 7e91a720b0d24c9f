package search

import (
	"bytes"
	"context"
	"unicode"
	"unicode/utf8"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// Limits of a fuzzy search key (RFC 6203 §8). What is beyond them is looked for
// as it is written only.
const (
	fuzzyWordsMax = 16 // words of a key
	fuzzyWordMax  = 32 // characters of one that may be misspelled
)

// Scores are from 1 to 100 (RFC 6203 §4): 100 is for the key as it is written,
// else each of its words has the score of what it was taken for, and the text
// has their mean.
const (
	scoreWhole  = 100
	scoreWord   = 90 // the word itself
	scorePart   = 70 // a word with it inside
	scoreSlip   = 40 // a word that differs in one character
	scoreTwo    = 10 // in two
	scoreNone   = 0
	scoreOthers = 1 // a message that matched by other keys alone
)

// fuzzy is a key that matches a text which has all of its words, in any order,
// spelled the same or nearly so.
type fuzzy struct {
	whole []byte
	words []fuzzyWord // none: only the whole is looked for
}

// fuzzyWord is one, with how many characters may be wrong, missing, too many or
// in each other's place.
type fuzzyWord struct {
	text  []byte
	runes []rune
	slips int
}

// newFuzzy takes a key apart that is folded.
func newFuzzy(needle []byte) *fuzzy {
	f := &fuzzy{whole: needle}
	for w := range words(needle) {
		if len(f.words) == fuzzyWordsMax {
			return &fuzzy{whole: needle}
		}
		word := fuzzyWord{text: w, runes: []rune(string(w))}
		switch n := len(word.runes); {
		case n > fuzzyWordMax, n < 4:
		case n < 8:
			word.slips = 1
		default:
			word.slips = 2
		}
		f.words = append(f.words, word)
	}
	return f
}

// words yields the runs of letters, digits and marks of a text.
func words(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		start := -1
		for i := 0; i < len(text); {
			r, n := rune(text[i]), 1
			if r >= utf8.RuneSelf {
				r, n = utf8.DecodeRune(text[i:])
			}
			in := unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
			switch {
			case in && start < 0:
				start = i
			case !in && start >= 0:
				if !yield(text[start:i]) {
					return
				}
				start = -1
			}
			i += n
		}
		if start >= 0 {
			yield(text[start:])
		}
	}
}

// finding is how well the words of a key were found until now.
type finding struct {
	*fuzzy
	whole bool
	best  []int
}

func (f *fuzzy) start() *finding { return &finding{fuzzy: f, best: make([]int, len(f.words))} }

// look looks at a piece of text, and reports whether nothing can be better.
// Each word of it costs no more than its length and a constant for each word of
// the key.
func (f *finding) look(text []byte) bool {
	if bytes.Contains(text, f.fuzzy.whole) {
		f.whole = true
		return true
	}
	if len(f.words) == 0 {
		return false
	}
	for w := range words(text) {
		for i := range f.words {
			if f.best[i] < scoreWord {
				f.best[i] = max(f.best[i], f.words[i].score(w))
			}
		}
	}
	return false
}

// score is that of what was looked at.
func (f *finding) score() int {
	if f.whole {
		return scoreWhole
	}
	sum := 0
	for _, s := range f.best {
		if s == scoreNone {
			return scoreNone
		}
		sum += s
	}
	return sum / max(1, len(f.best))
}

// score is that of one word of a text.
func (w *fuzzyWord) score(text []byte) int {
	switch {
	case bytes.Equal(text, w.text):
		return scoreWord
	case bytes.Contains(text, w.text):
		return scorePart
	case w.slips == 0 || len(text) > (len(w.runes)+w.slips)*utf8.UTFMax:
		return scoreNone
	}
	switch n := w.distance(text); {
	case n > w.slips:
		return scoreNone
	case n == 1:
		return scoreSlip
	}
	return scoreTwo
}

// distance is the number of characters to insert, delete, replace, or swap with
// their neighbour; beyond slips it is some larger number. Only the part of the
// table that can stay within slips is computed.
func (w *fuzzyWord) distance(text []byte) int {
	const width = fuzzyWordMax + 3
	far := w.slips + 1
	var b [width]rune
	n := 0
	for i := 0; i < len(text); n++ {
		if n == len(w.runes)+w.slips {
			return far
		}
		r, size := utf8.DecodeRune(text[i:])
		b[n] = r
		i += size
	}
	a := w.runes
	if len(a)-n > w.slips {
		return far
	}
	var rows [3][width + 1]int
	for j := range n + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, twoAbove := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		from, to := max(1, i-w.slips), min(n, i+w.slips)
		row[from-1] = far
		if from == 1 {
			row[0] = i
		}
		for j := from; j <= to; j++ {
			cost := above[j-1]
			if a[i-1] != b[j-1] {
				cost++
			}
			if j < i+w.slips {
				cost = min(cost, above[j]+1)
			}
			if cost = min(cost, row[j-1]+1); i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cost = min(cost, twoAbove[j-2]+1)
			}
			row[j] = cost
		}
	}
	return rows[len(a)%3][n]
}

// scorer says how well a message matches; scoreNone: not at all.
type scorer func(c *cursor, m *store.Message) (int, error)

// fuzzyScorer is that of a string key (RFC 6203 §3).
func fuzzyScorer(k *imapwire.SearchKey, needle []byte) scorer {
	f := newFuzzy(needle)
	if k.Op != imapwire.SearchHeader {
		return func(c *cursor, m *store.Message) (int, error) {
			found := f.start()
			_, err := c.walk(m, k.Op == imapwire.SearchText, visitor{len(needle) + fuzzyWordMax*utf8.UTFMax, found.look})
			return found.score(), passOver(err)
		}
	}
	kept := message.Kept(k.Field)
	return func(c *cursor, m *store.Message) (int, error) {
		fields, err := c.fields(m, kept)
		best := scoreNone
		for value := range message.RawValues(fields, k.Field) {
			found := f.start()
			found.look(c.foldValue(value))
			best = max(best, found.score())
		}
		return best, err
	}
}

// Scores returns how relevant messages are that matched Key, given by indexes
// (RFC 6203 §4): for keys of which all match the lowest score of them, for OR the
// highest.
func (q *Query) Scores(ctx context.Context, found []int32) ([]int, error) {
	score, err := q.scorerOf(q.Key)
	if err != nil {
		return nil, err
	}
	scores := make([]int, len(found))
	err = q.inBlocks(ctx, len(found), func(c *cursor, from, to int) error {
		for n := from; n < to; n++ {
			var err error
			if scores[n], err = relevancy(score, c, q.List.At(int(found[n]))); err != nil {
				return err
			}
		}
		return nil
	})
	return scores, err
}

// relevancy is the score of a message that matched.
func relevancy(score scorer, c *cursor, m *store.Message) (int, error) {
	if score == nil {
		return scoreWhole, nil // nothing was matched but exactly
	}
	n, err := score(c, m)
	return max(n, scoreOthers), err
}

// scorerOf returns the scorer of a key; nil for one without fuzzy strings.
func (q *Query) scorerOf(k *imapwire.SearchKey) (scorer, error) {
	switch k.Op {
	case imapwire.SearchHeader, imapwire.SearchBody, imapwire.SearchText:
		if !k.Fuzzy {
			return nil, nil
		}
		needle, err := q.needle(k)
		return fuzzyScorer(k, needle), err
	case imapwire.SearchAnd, imapwire.SearchOr:
	default:
		return nil, nil
	}
	var parts []scorer
	for _, sub := range k.Keys {
		s, err := q.scorerOf(sub)
		if err != nil {
			return nil, err
		}
		if s != nil {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	better := func(a, b int) bool { return (a > b) == (k.Op == imapwire.SearchOr) }
	return func(c *cursor, m *store.Message) (int, error) {
		n, err := parts[0](c, m)
		for _, p := range parts[1:] {
			if err != nil {
				break
			}
			var other int
			if other, err = p(c, m); better(other, n) {
				n = other
			}
		}
		return n, err
	}, nil
}
