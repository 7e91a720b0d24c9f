package imapserver

// Workarounds are cuts for what clients cannot do though they ask for it, by the
// name that switches one on. None is on by itself: RFC 2971 §3 forbids to treat
// clients by what they say of themselves.
var Workarounds = map[string]Cut{
	// Apple's Mail was seen to have trouble with the compression of other servers.
	"apple-compress": {Capabilities: []string{capCompress}, Clients: []string{"iPhone Mail", "iPad Mail", "Mac OS X Mail"}},
}
