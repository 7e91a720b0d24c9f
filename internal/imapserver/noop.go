package imapserver

import "context"

// noop is NOOP and CHECK (RFC 3501 §6.1.2, §6.4.1): what there is to tell,
// sync tells; everything acknowledged is on disk already.
func (s *session) noop(context.Context) error { return nil }
