package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
)

// capCompress is advertised until it is in use: there is no second layer.
const capCompress = "COMPRESS=DEFLATE"

// parseCompress is COMPRESS (RFC 4978). What a client sent behind the command
// without waiting for the answer may be compressed or not, so that the layer
// is refused and the rest taken as it is (§3).
func parseCompress(s *session, d *imapwire.Decoder) request {
	d.Space()
	algorithm := d.Word()
	switch {
	case s.conn.Compressed():
		d.Fail("compression is active already")
	case d.Err() == nil && algorithm != "DEFLATE":
		d.Fail("unknown compression algorithm")
	}
	return func(_ context.Context, s *session) error {
		if s.conn.Pending() {
			return &imapwire.SyntaxError{Text: "COMPRESS must wait for its answer"}
		}
		s.tagged("OK", "", "DEFLATE active")
		if err := s.conn.Flush(); err != nil {
			return err
		}
		s.conn.Compress()
		return errAnswered
	}
}
