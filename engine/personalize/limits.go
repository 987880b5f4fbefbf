package personalize

import (
	"context"
	"fmt"

	"github.com/expunge-db/expunge/engine"
)

// Limits are quotas that the service has for an account and that only protect a shared service. 0 means none. What the
// engine always keeps to is not here: 5 PENDING deletion jobs of a group, 50 tags of a resource.
//
// They count for what comes through this handler: what else uses the engine may go over them.
type Limits struct {
	DatasetGroups int // the service has 5
	Schemas       int // the service has 500
	ImportJobs    int // PENDING or IN_PROGRESS; the service has 5
}

// limited calls create if check lets it, with no other limited call in between: two creates can't both be the last one.
func limited[T any](h *Handler, check func() error, create func() (T, error)) (T, error) {
	if h.limits == (Limits{}) {
		return create()
	}
	h.creating.Lock()
	defer h.creating.Unlock()
	if err := check(); err != nil {
		var none T
		return none, err
	}
	return create()
}

// overLimit is a limit that is reached, in the words of the service.
func overLimit(most int, status string) error {
	return &ruleError{engine.ErrLimit, fmt.Sprintf("More than %d resources %s. Please delete some and try again.", most, status)}
}

func (h *Handler) checkGroups(ctx context.Context) error {
	if h.limits.DatasetGroups == 0 {
		return nil
	}
	groups, err := h.backend.DatasetGroups(ctx)
	if err == nil && len(groups) >= h.limits.DatasetGroups {
		err = overLimit(h.limits.DatasetGroups, "in ACTIVE state")
	}
	return err
}

func (h *Handler) checkSchemas(ctx context.Context) error {
	if h.limits.Schemas == 0 {
		return nil
	}
	schemas, err := h.backend.Schemas(ctx)
	if err == nil && len(schemas) >= h.limits.Schemas {
		err = overLimit(h.limits.Schemas, "in ACTIVE state")
	}
	return err
}

func (h *Handler) checkImports(ctx context.Context) error {
	if h.limits.ImportJobs == 0 {
		return nil
	}
	jobs, err := h.backend.UnfinishedJobs(ctx)
	if err != nil {
		return err
	}
	open := 0
	for _, j := range jobs {
		if j.Kind == engine.KindImport {
			open++
		}
	}
	if open >= h.limits.ImportJobs {
		return overLimit(h.limits.ImportJobs, "with PENDING or IN_PROGRESS status")
	}
	return nil
}
