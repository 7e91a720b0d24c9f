package adminserver

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/search"
	"github.com/angarium/angarium/internal/store"
)

// Service is what commands work on.
type Service struct {
	Store  *store.Store
	Log    *slog.Logger
	Domain func() string // of names without one
	Reload func() error  // nil where no server runs

	// Net holds the sessions; nil where no server runs.
	Net *netserver.Server
	// Texts is the index of SEARCH; nil where there is none.
	Texts *search.Index
	// Backup copies the store into a directory of backups.
	Backup func(ctx context.Context, dir string, progress func(text string)) (BackedUp, error)
	// OpenBackup opens the files of a store for reading, as they were at a
	// time or, when that is zero, at their end.
	OpenBackup func(ctx context.Context, dir string, until time.Time) (*store.Store, func() error, error)
	// Stats are the engine's figures.
	Stats func() any

	// Of the command that runs.
	progress func(text string)
	by       string // who asked for it, for the log
}

// Request is one command with its arguments.
type Request struct {
	Command string          `json:"command"`
	Args    json.RawMessage `json:"args,omitempty"`
}

// Response is what came of it, or how far it is: then another one follows.
type Response struct {
	Progress string          `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *Error          `json:"error,omitempty"`
}

// Error is a failed command.
type Error struct {
	Kind errs.Kind `json:"kind"`
	Text string    `json:"text"` // for the administrator
}

func (e *Error) Error() string { return e.Text }

// commands holds every command by its name on the command line.
var commands = map[string]func(ctx context.Context, s *Service, args json.RawMessage) (any, error){
	"acl list":         run(aclList),
	"acl set":          run(aclSet),
	"backup create":    run(backupCreate),
	"check":            run(check),
	"erase":            run(erase),
	"quota list":       run(quotaList),
	"quota set":        run(quotaSet),
	"reload":           run(reload),
	"restore account":  run(restoreAccount),
	"store stat":       run(storeStat),
	"trace list":       run(traceList),
	"trace start":      run(traceStart),
	"trace stop":       run(traceStop),
	"undelete account": run(undeleteAccount),
	"undelete list":    run(undeleteList),
	"undelete restore": run(undeleteRestore),
	"user add":         run(userAdd),
	"user delete":      run(userDelete),
	"user import":      run(userImport),
	"user list":        run(userList),
	"user passwd":      run(userPasswd),
	"user retention":   run(userRetention),
	"user show":        run(userShow),
}

// run gives a command its arguments, strictly.
func run[A, R any](f func(ctx context.Context, s *Service, args A) (R, error)) func(context.Context, *Service, json.RawMessage) (any, error) {
	return func(ctx context.Context, s *Service, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, errs.As("adminserver.run", errs.Invalid, "the arguments do not fit the command", err)
		}
		return f(ctx, s, args)
	}
}

// Do runs one command, for somebody whom the log calls by. progress is told now
// and then how far a long one is.
func (s *Service) Do(ctx context.Context, r Request, by string, progress func(text string)) Response {
	one := *s
	one.progress, one.by = progress, by
	s = &one
	if commands[r.Command] == nil {
		return Response{Error: &Error{errs.Invalid, "unknown command " + r.Command}}
	}
	result, err := s.call(ctx, r)
	if err == nil {
		var b []byte
		if b, err = json.Marshal(result); err == nil {
			return Response{Result: b}
		}
	}
	return Response{Error: &Error{errs.KindOf(err), text(err)}}
}

// call runs a command that there is. One that panics has failed, and ends nothing else.
func (s *Service) call(ctx context.Context, r Request) (result any, err error) {
	defer errs.Recover("adminserver.Do", "", &err)
	return commands[r.Command](ctx, s, r.Args)
}

// text is what an administrator reads: unlike a mail client, all of it.
func text(err error) string {
	if errs.KindOf(err) == errs.Internal {
		return err.Error()
	}
	return errs.PublicText(err)
}

// qualify adds the default domain to a bare name, and refuses what is none.
func (s *Service) qualify(name string) (string, error) {
	return store.CanonicalAccount(directory.Qualify(name, s.Domain()))
}
