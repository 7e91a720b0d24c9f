package imapserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/search"
	"github.com/angarium/angarium/internal/store"
)

// parseSearch is SEARCH (RFC 3501 §6.4.4, RFC 4731, RFC 5182, RFC 5267,
// RFC 9394).
func parseSearch(s *session, d *imapwire.Decoder) request {
	d.Space()
	ret := d.SearchReturn("ESEARCH")
	charset, key := d.SearchProgram()
	needFuzzy(d, ret.Relevancy, key)
	return func(ctx context.Context, s *session) error {
		if err := s.mayUpdate(ret); err != nil {
			return err
		}
		found, err := s.find(ctx, charset, key, s.limitSearch)
		if ret.Save {
			s.view.saved = s.view.uids(savedOf(ret, found))
		}
		if err != nil {
			return err
		}
		r := searchResult{found: found, list: s.view.list, modseq: key.UsesModSeq()}
		if r.scores, err = s.scores(ctx, ret, charset, key, found); err != nil {
			return err
		}
		if !ret.Given && s.has(rev2) { // RFC 9051 §6.4.4
			ret.Given, ret.All = true, true
		}
		if ret.Given {
			s.tellESearch(ret, r)
		} else {
			s.tellSearch(ctx, "* SEARCH", r)
		}
		s.keepUpdated(ret, &searchContext{charset: charset, key: key}, found)
		return nil
	}
}

// needFuzzy refuses RELEVANCY where nothing is matched fuzzily (RFC 6203 §4, §6).
func needFuzzy(d *imapwire.Decoder, relevancy bool, key *imapwire.SearchKey) {
	if d.Err() == nil && relevancy && !key.UsesFuzzy() {
		d.Fail("RELEVANCY needs FUZZY")
	}
}

// scores returns how relevant results of the selected mailbox are, where
// RELEVANCY asks for it.
func (s *session) scores(ctx context.Context, ret searchReturn, charset string, key *imapwire.SearchKey, found []int32) ([]int, error) {
	if !ret.Relevancy {
		return nil, nil
	}
	q := s.query()
	q.Key, q.Charset = key, charset
	ctx, cancel := context.WithTimeout(ctx, searchTimeMax)
	defer cancel()
	scores, err := q.Scores(ctx, found)
	return scores, searchError(err)
}

// everything is no limit for find.
func everything(*imapwire.SearchKey) mail.UIDSet { return nil }

// find returns the indexes of the messages that match, of those that only gives
// for the keys with stored searches in them; nil: of all.
func (s *session) find(ctx context.Context, charset string, key *imapwire.SearchKey, only func(*imapwire.SearchKey) mail.UIDSet) ([]int32, error) {
	if err := s.expand(ctx, key, charset, 0); err != nil {
		return nil, err
	}
	if s.numbered = key.UsesNumbers(); s.numbered && s.has(uidOnly) {
		return nil, errUIDRequired
	}
	if key.UsesModSeq() {
		s.enable(condstore)
	}
	q := s.query()
	q.Key, q.Charset, q.Only = key, charset, only(key)
	ctx, cancel := context.WithTimeout(ctx, searchTimeMax)
	defer cancel()
	found, err := s.search(ctx, q)
	return found, searchError(err)
}

// search runs a search. To a client that waits for long it tells how far it is
// (RFC 9585).
func (s *session) search(ctx context.Context, q *search.Query) (found []int32, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	done := make(chan struct{})
	var panicked errs.Panic
	go func() {
		defer close(done)
		defer panicked.Catch()
		found, err = search.Run(ctx, q)
	}()
	defer panicked.Raise() // each way out waits for done
	every := time.NewTicker(s.opts.ProgressEvery)
	defer every.Stop()
	looks := time.NewTicker(goneEvery)
	defer looks.Stop()
	for {
		select {
		case <-done:
			s.looked, s.turn = s.looked+q.Looked(), s.turn+q.Waited()
			return found, err
		case <-looks.C:
			if s.conn.Gone() {
				end()
				<-done
				return nil, net.ErrClosed
			}
		case <-every.C:
			if !s.offers("INPROGRESS") {
				continue
			}
			s.line(fmt.Sprintf("* OK [INPROGRESS (%s %d %d)] Still searching", imapwire.AppendString(nil, s.tag), q.Looked(), q.List.Len()))
			if err := s.conn.Flush(); err != nil {
				end()
				<-done
				return nil, err
			}
		}
	}
}

// query is one over the messages of the view.
func (s *session) query() *search.Query {
	v := s.view
	return &search.Query{Store: s.srv.store, List: v.list, Recent: v.isRecent, Saved: v.saved, Index: s.opts.Texts, Account: v.ids.Account, User: s.user.Account, Work: s.conn.Work()}
}

func searchError(err error) error {
	switch {
	case errors.Is(err, search.ErrCharset):
		return &refusal{"BADCHARSET (UTF-8 US-ASCII ISO-8859-1)", "the charset is not known"}
	case errors.Is(err, context.DeadlineExceeded):
		return &refusal{"LIMIT", "the search takes too long; narrow it"}
	}
	return err
}

// searchResult is what SEARCH or SORT found.
type searchResult struct {
	found []int32            // indexes in the list
	list  *store.MessageList // what was searched
	box   string             // the name of its mailbox, where the answer is to have it (RFC 7377 §2.1)
	// uidValidity is that mailbox's.
	uidValidity uint32
	modseq      bool  // MODSEQ was asked for
	scores      []int // of what was found, where RELEVANCY was asked for
}

// uids returns the UIDs of ascending indexes.
func (v *view) uids(found []int32) (uids mail.UIDSet) {
	for _, i := range found {
		uids = uids.Append(v.list.At(int(i)).UID)
	}
	return uids
}

// numberOf returns how the answer names the i-th message of a list.
func (s *session) numberOf(list *store.MessageList, i int32) uint32 {
	if s.byUID {
		return uint32(list.At(int(i)).UID)
	}
	return uint32(i + 1)
}

// highest returns the highest mod-sequence of some of the messages searched.
func (r *searchResult) highest(found []int32) (m mail.ModSeq) {
	for _, i := range found {
		m = max(m, r.list.At(int(i)).ModSeq)
	}
	return m
}

// searchPiece is how many octets of SEARCH are sent at once: of a million
// results no more lie in memory.
const searchPiece = 4 << 10

// tellSearch sends SEARCH or SORT (RFC 3501 §7.2.5, RFC 7162 §3.1.6).
func (s *session) tellSearch(ctx context.Context, response string, r searchResult) {
	a := s.beginAnswer(len(r.found))
	defer a.end()
	b := append(make([]byte, 0, searchPiece+64), response...)
	for _, i := range r.found {
		if len(b) >= searchPiece {
			a.send(ctx, b)
			b = b[:0]
		}
		b = strconv.AppendUint(append(b, ' '), uint64(s.numberOf(r.list, i)), 10)
	}
	if r.modseq && len(r.found) > 0 {
		b = append(b, " (MODSEQ "...)
		b = append(strconv.AppendUint(b, uint64(r.highest(r.found)), 10), ')')
	}
	a.sendLast(append(b, "\r\n"...))
}
