package service

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"weir.dev/weir/internal/model"
)

// maxPermissionActions is SQS's limit on the actions of one permission.
const maxPermissionActions = 7

// permissionActions are those that an owner may share, sorted; the others
// are the owner's alone.
var permissionActions = []string{
	"*", "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues",
	"PurgeQueue", "ReceiveMessage", "SendMessage",
}

// ownerActions are those that cannot be shared, sorted.
var ownerActions = []string{
	"AddPermission", "CancelMessageMoveTask", "CreateQueue", "DeleteQueue", "ListMessageMoveTasks", "ListQueueTags", "ListQueues",
	"RemovePermission", "SetQueueAttributes", "StartMessageMoveTask", "TagQueue", "UntagQueue",
}

// AddPermissionRequest shares actions on a queue with accounts. Like every
// policy it is kept and shown, and not enforced.
type AddPermissionRequest struct {
	Queue    string
	ARN      string   // the queue's
	Label    string   // names the statement
	Accounts []string // of 12 digits
	Actions  []string // without "SQS:"
}

// policyText is an access policy, as AddPermission edits it: statements that
// others wrote stay as they are.
type policyText struct {
	Version   string `json:",omitempty"`
	ID        string `json:"Id,omitempty"`
	Statement []json.RawMessage
}

// permission is the statement that AddPermission makes. AWS writes a list of
// one as its one element.
type permission struct {
	Sid       string
	Effect    string
	Principal struct{ AWS any }
	Action    any
	Resource  string
}

// AddPermission adds a statement to the queue's policy, and makes a policy if
// the queue has none. Errors: *QueueError, ErrOverLimit, ErrNotFound.
func (s *Service) AddPermission(ctx context.Context, req *AddPermissionRequest) error {
	return s.changeQueue(ctx, req.Queue, func(_ *Queue, spec *model.QueueSpec) error {
		if err := req.check(); err != nil {
			return err
		}
		// AWS's words and version, as it answers today.
		p := policyText{Version: "2008-10-17", ID: req.ARN + "/SQSDefaultPolicy"}
		if spec.Policy != "" {
			p = readPolicy(spec.Policy)
		}
		if p.find(req.Label) >= 0 {
			return badParameter("Label", req.Label, "Already exists.")
		}
		statement := permission{Sid: req.Label, Effect: "Allow", Resource: req.ARN}
		statement.Principal.AWS = oneOrMany(req.Accounts, "arn:aws:iam::", ":root")
		statement.Action = oneOrMany(req.Actions, "SQS:", "")
		p.Statement = append(p.Statement, marshalPlain(&statement))
		if n := len(p.Statement); n > maxPolicyStatements {
			return model.Errorf(model.ErrOverLimit, "%d statements were found in the submitted policy, max allowed is %d", n, maxPolicyStatements)
		}
		spec.Policy = string(marshalPlain(&p))
		if n := len(spec.Policy); n > maxDocumentBytes {
			return model.Errorf(model.ErrOverLimit, "The policy would have %d bytes, max allowed is %d", n, maxDocumentBytes)
		}
		return nil
	})
}

// RemovePermission removes the statement of that label from the queue's
// policy, and the policy with its last statement. Errors: *QueueError (there
// is no such label), ErrNotFound.
func (s *Service) RemovePermission(ctx context.Context, queue, label string) error {
	return s.changeQueue(ctx, queue, func(_ *Queue, spec *model.QueueSpec) error {
		if label == "" {
			return queueFault(FaultMissing, "The request must contain the parameter Label.")
		}
		if spec.Policy == "" {
			return badParameter("Label", shortHandle(label), "can't find label.")
		}
		p := readPolicy(spec.Policy)
		at := p.find(label)
		if at < 0 {
			return badParameter("Label", shortHandle(label), "can't find label on existing policy.")
		}
		if p.Statement = slices.Delete(p.Statement, at, at+1); len(p.Statement) == 0 {
			spec.Policy = ""
			return nil
		}
		spec.Policy = string(marshalPlain(&p))
		return nil
	})
}

// check holds the request to the rules that do not depend on the queue.
func (r *AddPermissionRequest) check() error {
	if r.Label == "" {
		return queueFault(FaultMissing, "The request must contain the parameter Label.")
	}
	if !isQueueName(r.Label) { // the same characters and length
		return badParameter("Label", shortHandle(r.Label), "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	if len(r.Actions) == 0 {
		return queueFault(FaultMissing, "The request must contain the parameter Actions.")
	}
	if len(r.Accounts) == 0 {
		return badParameter("PrincipalId", "[]", "Unable to verify.")
	}
	for _, account := range r.Accounts {
		if len(account) != 12 || slices.ContainsFunc([]byte(account), func(c byte) bool { return c < '0' || c > '9' }) {
			return badParameter("PrincipalId", "["+shortHandle(account)+"]", "Unable to verify.")
		}
	}
	if n := len(r.Actions); n > maxPermissionActions {
		return model.Errorf(model.ErrOverLimit, "%d Actions were found, maximum allowed is %d.", n, maxPermissionActions)
	}
	for _, action := range r.Actions {
		if _, owned := slices.BinarySearch(ownerActions, action); owned {
			return badParameter("ActionName", "SQS:"+action, "Only the queue owner is allowed to invoke this action.")
		}
		if _, ok := slices.BinarySearch(permissionActions, action); !ok {
			// The words, the last space included, are AWS's.
			return badParameter("ActionName", "SQS:"+shortHandle(action), "Please refer to the appropriate WSDL for a list of valid actions. ")
		}
	}
	return nil
}

// readPolicy reads a policy that was checked when it was set.
func readPolicy(text string) (p policyText) {
	fields, _ := parseDocument(text)
	p.Version, _ = textOf(fields["Version"])
	p.ID, _ = textOf(fields["Id"])
	p.Statement, _ = listOf(fields["Statement"])
	return p
}

// find is the place of the statement of that label; -1 when there is none.
func (p *policyText) find(label string) int {
	return slices.IndexFunc(p.Statement, func(raw json.RawMessage) bool {
		fields, _ := parseDocument(string(raw))
		sid, ok := textOf(fields["Sid"])
		return ok && sid == label
	})
}

func oneOrMany(names []string, before, behind string) any {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = before + n + behind
	}
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// marshalPlain is the JSON of texts, lists and objects, which always have one,
// without the escapes that HTML would need.
func marshalPlain(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: a policy has no JSON form: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}
