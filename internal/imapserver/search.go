package imapserver

import (
	"context"
	"errors"
	"strconv"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/search"
)

// parseSearch is SEARCH (RFC 3501 §6.4.4).
func parseSearch(s *session, d *imapwire.Decoder) request {
	d.Space()
	charset, key := d.SearchProgram()
	return func(ctx context.Context, s *session) error {
		v := s.view
		ctx, cancel := context.WithTimeout(ctx, searchTimeMax)
		defer cancel()
		found, err := search.Run(ctx, &search.Query{Store: s.srv.store, List: v.list, Key: key, Charset: charset, Recent: v.isRecent})
		if errors.Is(err, search.ErrCharset) {
			return &refusal{"BADCHARSET (UTF-8 US-ASCII ISO-8859-1)", "the charset is not known"}
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return &refusal{"LIMIT", "the search takes too long; narrow it"}
		}
		if err != nil {
			return err
		}
		b := append(make([]byte, 0, 16+8*len(found)), "* SEARCH"...)
		for _, i := range found {
			b = append(b, ' ')
			if s.byUID {
				b = strconv.AppendUint(b, uint64(v.list.At(i).UID), 10)
			} else {
				b = strconv.AppendInt(b, int64(i+1), 10)
			}
		}
		s.conn.Write(append(b, "\r\n"...))
		return nil
	}
}
