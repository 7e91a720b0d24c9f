package adminserver

import (
	"context"
	"path/filepath"
	"time"

	"github.com/angarium/angarium/internal/errs"
)

// BackupCreate is the argument of "backup create".
type BackupCreate struct {
	Dir string `json:"dir"` // absolute; where the server writes
}

// BackedUp is one backup.
type BackedUp struct {
	Created time.Time `json:"created"`
	Octets  int64     `json:"octets"` // that it holds
	Copied  int64     `json:"copied"` // that no backup before had
}

// backupCreate copies the store as it is now.
func backupCreate(ctx context.Context, s *Service, a BackupCreate) (BackedUp, error) {
	if !filepath.IsAbs(a.Dir) {
		return BackedUp{}, errs.New("adminserver.backupCreate", errs.Invalid, "the directory is not an absolute path")
	}
	return s.Backup(ctx, a.Dir, s.progress)
}
