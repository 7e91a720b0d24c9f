package imapserver

import (
	"slices"
	"strconv"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// searchReturn is what to answer and keep of a search.
type searchReturn = imapwire.SearchReturn

// tellESearch sends ESEARCH (RFC 4731 §3.1, RFC 9394 §3.1), for results in
// the order of the mailbox or of SORT (RFC 5267 §3). With SAVE alone nothing
// is told (RFC 5182 §2.1).
func (s *session) tellESearch(ret searchReturn, r searchResult) {
	if !ret.Min && !ret.Max && !ret.All && !ret.Count && !ret.Relevancy && ret.Partial == nil {
		return
	}
	b := s.searchCorrelator(s.tag, r.box, r.uidValidity, s.byUID)
	if n := len(r.found); n > 0 {
		if ret.Min {
			b = strconv.AppendUint(append(b, " MIN "...), uint64(s.numberOf(r.list, r.found[0])), 10)
		}
		if ret.Max {
			b = strconv.AppendUint(append(b, " MAX "...), uint64(s.numberOf(r.list, r.found[n-1])), 10)
		}
		if ret.All {
			b = s.appendNumbers(append(b, " ALL "...), r.list, r.found)
		}
	}
	if ret.Count {
		b = strconv.AppendInt(append(b, " COUNT "...), int64(len(r.found)), 10)
	}
	if p := ret.Partial; p != nil {
		from, to := p.Of(len(r.found))
		b = append(append(append(b, " PARTIAL ("...), p.Text()...), ' ')
		if from < to {
			b = s.appendNumbers(b, r.list, r.found[from:to])
		} else {
			b = append(b, "NIL"...)
		}
		b = append(b, ')')
	}
	b = appendScores(b, r.scoresOf(ret))
	if told := told(ret, r.found); r.modseq && len(told) > 0 {
		b = strconv.AppendUint(append(b, " MODSEQ "...), uint64(r.highest(told)), 10)
	}
	s.conn.Write(append(b, "\r\n"...))
}

// scoresOf returns the scores to be told: those of all results, or of the part
// that is told of them (RFC 6203 §6).
func (r *searchResult) scoresOf(ret searchReturn) []int {
	if ret.All || ret.Partial == nil || r.scores == nil {
		return r.scores
	}
	from, to := ret.Partial.Of(len(r.found))
	return r.scores[from:to]
}

func appendScores(b []byte, scores []int) []byte {
	if len(scores) == 0 {
		return b
	}
	b = append(b, " RELEVANCY ("...)
	for i, score := range scores {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(score), 10)
	}
	return append(b, ')')
}

// searchCorrelator begins ESEARCH: whose results follow (RFC 4466 §2.6.2), with
// a mailbox also of which (RFC 7377 §2.1).
func (s *session) searchCorrelator(tag, box string, uidValidity uint32, byUID bool) []byte {
	b := append([]byte("* ESEARCH (TAG "), imapwire.AppendString(nil, tag)...)
	if box != "" {
		b = s.appendMailbox(append(b, " MAILBOX "...), box)
		b = strconv.AppendUint(append(b, " UIDVALIDITY "...), uint64(uidValidity), 10)
	}
	b = append(b, ')')
	if byUID {
		b = append(b, " UID"...)
	}
	return b
}

// appendNumbers appends messages as a set in the order they are in.
func (s *session) appendNumbers(b []byte, list *store.MessageList, found []int32) []byte {
	numbers := make([]uint32, len(found))
	for i, at := range found {
		numbers[i] = s.numberOf(list, at)
	}
	return imapwire.AppendNumSet(b, numbers)
}

// told returns the results whose highest mod-sequence is told: with MIN and MAX
// alone these two, else all (RFC 4731 §3.2).
func told(ret searchReturn, found []int32) []int32 {
	if ret.All || ret.Count || ret.Partial != nil {
		return found
	}
	return ends(ret, found)
}

// ends returns the first and last of the results, as far as they were asked
// for, ascending.
func ends(ret searchReturn, found []int32) (e []int32) {
	if len(found) == 0 {
		return nil
	}
	if ret.Min {
		e = append(e, found[0])
	}
	if ret.Max {
		e = append(e, found[len(found)-1])
	}
	slices.Sort(e)
	return slices.Compact(e)
}

// savedOf returns the results that SAVE keeps, ascending (RFC 5182 §2.4, RFC
// 9394 §3.2).
func savedOf(ret searchReturn, found []int32) []int32 {
	var kept []int32
	switch {
	case ret.All || ret.Count || !ret.Min && !ret.Max && ret.Partial == nil:
		kept = slices.Clone(found)
	default:
		kept = ends(ret, found)
		if ret.Partial != nil {
			from, to := ret.Partial.Of(len(found))
			kept = append(kept, found[from:to]...)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}
