package imapserver

import (
	"context"
	"slices"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/search"
)

// parseSort is SORT (RFC 5256 §3, RFC 5267 §3 and §4).
func parseSort(s *session, d *imapwire.Decoder) request {
	d.Space()
	ret := d.SearchReturn("ESORT")
	criteria := d.SortKeys()
	d.Space()
	charset, key := d.CharsetAndKeys()
	needFuzzy(d, ret.Relevancy || byRelevancy(criteria), key)
	return func(ctx context.Context, s *session) error {
		ctx, cancel := context.WithTimeout(ctx, searchTimeMax)
		defer cancel()
		if err := s.mayUpdate(ret); err != nil {
			return err
		}
		found, err := s.find(ctx, charset, key, everything)
		if err == nil {
			q := s.query()
			q.Key, q.Charset = key, charset
			found, err = q.Sort(ctx, found, criteria)
		}
		if ret.Save {
			s.view.saved = s.view.uids(savedOf(ret, found))
		}
		if err != nil {
			return searchError(err)
		}
		r := searchResult{found: found, list: s.view.list, modseq: key.UsesModSeq()}
		if r.scores, err = s.scores(ctx, ret, charset, key, found); err != nil {
			return err
		}
		if ret.Given {
			s.tellESearch(ret, r)
		} else {
			s.tellSearch(ctx, "* SORT", r)
		}
		s.keepUpdated(ret, &searchContext{charset: charset, key: key, criteria: criteria}, found)
		return nil
	}
}

// byRelevancy reports whether that is one of the criteria.
func byRelevancy(criteria []imapwire.SortKey) bool {
	return slices.ContainsFunc(criteria, func(k imapwire.SortKey) bool { return k.Field == imapwire.SortRelevancy })
}

// byAnnotation reports whether the order may change with a message's annotations,
// while all else that a message is sorted by stays as it is.
func byAnnotation(criteria []imapwire.SortKey) bool {
	return slices.ContainsFunc(criteria, func(k imapwire.SortKey) bool { return k.Field == imapwire.SortAnnotation })
}

// threadings holds the algorithms by name.
var threadings = map[string]search.Threading{
	"ORDEREDSUBJECT": search.OrderedSubject,
	"REFERENCES":     search.References,
	"REFS":           search.Refs,
}

// parseThread is THREAD (RFC 5256 §3).
func parseThread(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Word()
	algorithm, ok := threadings[name]
	if !ok {
		d.Fail("unknown threading algorithm")
	}
	d.Needs("THREAD=" + name)
	d.Space()
	charset, key := d.CharsetAndKeys()
	return func(ctx context.Context, s *session) error {
		if n := s.opts.MessageLimit; n > 0 && s.view.list.Len() > n { // RFC 9738 §3.3
			return &refusal{limitCode(n, nil), "the mailbox has too many messages to be threaded"}
		}
		ctx, cancel := context.WithTimeout(ctx, searchTimeMax)
		defer cancel()
		found, err := s.find(ctx, charset, key, everything)
		if err != nil {
			return err
		}
		threads, err := s.query().Thread(ctx, found, algorithm)
		if err != nil {
			return searchError(err)
		}
		s.tellThreads(ctx, threads)
		return nil
	}
}

// threadsPiece is how much of the threads is sent at once. The answer for 100,000
// messages as a whole, and what its buffer leaves behind while it grows, keeps the
// garbage collector so busy that the slowest FETCHes of others take twice as long.
const threadsPiece = 1024

// tellThreads sends THREAD (RFC 5256 §4).
func (s *session) tellThreads(ctx context.Context, threads search.Threads) {
	a := s.beginAnswer(len(threads))
	defer a.end()
	b := []byte("* THREAD")
	if len(threads) > 0 {
		b = append(b, ' ')
	}
	number := func(i int32) uint32 { return s.numberOf(s.view.list, i) }
	for from := 0; from < len(threads); from += threadsPiece {
		b = threads.Append(b, from, min(from+threadsPiece, len(threads)), number)
		a.send(ctx, b)
		b = b[:0]
	}
	a.sendLast(append(b, "\r\n"...))
}
