package telemetry

import (
	"strings"

	"github.com/angarium/angarium/internal/errs"
)

// Kinds of answers that are no failures of errs.
const (
	OK      = "ok"
	Bad     = "bad"     // no command of the protocol
	Refused = "refused" // the protocol does not allow it
	Ended   = "ended"   // the session ended meanwhile
)

// kinds are the names of errs.Kind as labels.
var kinds = func() []string {
	all := make([]string, len(errs.Kinds()))
	for _, k := range errs.Kinds() {
		all[k] = strings.ReplaceAll(k.String(), " ", "_")
	}
	return all
}()

// KindOf returns the kind of an error, OK for none.
func KindOf(err error) string {
	if err == nil {
		return OK
	}
	return kinds[errs.KindOf(err)]
}
