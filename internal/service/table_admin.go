package service

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"weir.dev/weir/internal/model"
)

// maxTableNames is how many names one ListTables returns at most, as DynamoDB.
const maxTableNames = 100

// maxTableTries bounds how often a change of settings starts over because
// another one came first.
const maxTableTries = 8

// AWS's words for tables.
const (
	msgFirstNotHash   = "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
	msgSecondNotRange = "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
	msgSameKeys       = "Both the Hash Key and the Range Key element in the KeySchema have the same name"
	msgSameAttributes = "Cannot have two attributes with the same name"
	msgUndefinedKeys  = "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]"
	msgUnusedKeys     = "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"
	msgNeedUnits      = "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
	msgNoUnits        = "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
	msgProtected      = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
	msgNothingToDo    = "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"
)

// CreateTable creates a table, which is ready for use when it returns. The
// retry of a call that has created its table succeeds again. Errors:
// ErrValidation, ErrInUse, and those of Cluster.Propose.
func (s *Service) CreateTable(ctx context.Context, req *CreateTableRequest) (*Table, error) {
	spec, err := newTableSpec(req)
	if err != nil {
		return nil, err
	}
	spec.TableID = s.tableID(req)
	r, err := s.createResource(ctx, model.KindTable, req.Name, spec.Tags, spec.Append(nil))
	var e *model.Error
	taken := errors.As(err, &e) && e.Kind == model.ErrInUse && r != nil
	if err != nil && !taken {
		return nil, err
	}
	t, err := newTable(r)
	if err != nil {
		return nil, err
	}
	if taken && t.spec.TableID != spec.TableID {
		return nil, model.Errorf(model.ErrInUse, "Table already exists: %s", req.Name)
	}
	return t.describe(), nil
}

// tableID is the table's UUID: made from the call, so that a retry makes the
// same one.
func (s *Service) tableID(req *CreateTableRequest) string {
	id := s.newRequestID()
	if !req.Invocation.IsZero() {
		sum := sha256.Sum256(append(req.Invocation[:], req.Name...))
		copy(id[:], sum[:])
	}
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // variant 1
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// newTableSpec checks the request by DynamoDB's rules.
func newTableSpec(req *CreateTableRequest) (*model.TableSpec, error) {
	spec := &model.TableSpec{
		Attributes: req.Attributes, DeletionProtection: req.DeletionProtection, Class: req.Class, KmsKey: req.KmsKey,
		ReadUnits: req.ReadUnits, WriteUnits: req.WriteUnits, Billing: req.Billing,
		Tags: slices.Clone(req.Tags),
	}
	sort.SliceStable(spec.Tags, func(i, j int) bool { return spec.Tags[i].Key < spec.Tags[j].Key })
	for i := 1; i < len(spec.Tags); i++ {
		if spec.Tags[i].Key == spec.Tags[i-1].Key {
			return nil, invalidf("One or more parameter values were invalid: Duplicate tag keys are not allowed: %s", spec.Tags[i].Key)
		}
	}
	if spec.Billing == 0 {
		spec.Billing = model.BillingProvisioned
	}
	if spec.Class == 0 {
		spec.Class = model.ClassStandard
	}
	if err := checkBilling(spec); err != nil {
		return nil, err
	}
	return spec, setKeySchema(spec, req)
}

func checkBilling(spec *model.TableSpec) error {
	switch {
	case spec.Billing == model.BillingPerRequest && (spec.ReadUnits > 0 || spec.WriteUnits > 0):
		return invalidf(msgNoUnits)
	case spec.Billing == model.BillingProvisioned && (spec.ReadUnits == 0 || spec.WriteUnits == 0):
		return invalidf(msgNeedUnits)
	}
	return nil
}

// setKeySchema finds the keys among the attribute definitions.
func setKeySchema(spec *model.TableSpec, req *CreateTableRequest) error {
	defined := map[string]model.Kind{}
	var names, wanted []string
	for _, a := range req.Attributes {
		if _, twice := defined[a.Name]; twice {
			return invalidf(msgSameAttributes)
		}
		if a.Kind != model.KindS && a.Kind != model.KindN && a.Kind != model.KindB {
			return invalidf("Member must satisfy enum value set: [B, N, S]")
		}
		defined[a.Name] = a.Kind
		names = append(names, a.Name)
	}
	for _, k := range req.KeySchema {
		wanted = append(wanted, k.Name)
	}
	switch {
	case len(req.KeySchema) == 0 || req.KeySchema[0].Type != "HASH":
		return invalidf(msgFirstNotHash)
	case len(req.KeySchema) > 1 && req.KeySchema[1].Type != "RANGE":
		return invalidf(msgSecondNotRange)
	case len(req.KeySchema) > 2:
		return invalidf("Too many KeySchema elements")
	case len(req.KeySchema) == 2 && wanted[0] == wanted[1]:
		return invalidf(msgSameKeys)
	}
	for _, name := range wanted {
		if defined[name] == 0 {
			return invalidf(msgUndefinedKeys, strings.Join(wanted, ", "), strings.Join(names, ", "))
		}
	}
	if len(wanted) != len(names) {
		return invalidf(msgUnusedKeys)
	}
	spec.Partition = model.KeyAttr{Name: wanted[0], Kind: defined[wanted[0]]}
	if len(wanted) == 2 {
		spec.Sort = model.KeyAttr{Name: wanted[1], Kind: defined[wanted[1]]}
	}
	return nil
}

// DescribeTable returns a table. Errors: ErrNotFound.
func (s *Service) DescribeTable(ctx context.Context, name string) (*Table, error) {
	t, err := s.table(ctx, name)
	if err != nil {
		return nil, err
	}
	return t.describe(), nil
}

// ListTables returns the names of tables behind req.Start, in order.
func (s *Service) ListTables(ctx context.Context, req *ListTablesRequest) (*ListTablesResult, error) {
	limit := req.Limit
	if limit <= 0 || limit > maxTableNames {
		limit = maxTableNames
	}
	all, err := s.resources(ctx, model.KindTable, req.Start)
	if err != nil {
		return nil, err
	}
	out := &ListTablesResult{}
	for r := range all {
		if r.Name == req.Start {
			continue
		}
		if len(out.Names) == limit {
			out.Last = out.Names[limit-1]
			break
		}
		out.Names = append(out.Names, r.Name)
	}
	return out, nil
}

// UpdateTable changes a table's settings. Errors: ErrNotFound, ErrValidation,
// ErrInUse when other changes kept coming first, and those of Cluster.Propose.
func (s *Service) UpdateTable(ctx context.Context, req *UpdateTableRequest) (*Table, error) {
	if req.Billing == nil && req.ReadUnits == nil && req.WriteUnits == nil && req.DeletionProtection == nil && req.Class == nil && req.KmsKey == nil {
		return nil, invalidf(msgNothingToDo)
	}
	for try := 1; ; try++ {
		t, err := s.table(ctx, req.Name)
		if err != nil {
			return nil, err
		}
		spec := t.spec
		if err := changeSpec(&spec, req); err != nil {
			return nil, err
		}
		r, err := s.updateResource(ctx, t.resource.ID, t.resource.Version, spec.Tags, spec.Append(nil))
		var e *model.Error
		if errors.As(err, &e) && e.Kind == model.ErrInUse && try < maxTableTries {
			if err := s.cluster.SyncCatalog(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		next, err := newTable(r)
		if err != nil {
			return nil, err
		}
		return next.describe(), nil
	}
}

func changeSpec(spec *model.TableSpec, req *UpdateTableRequest) error {
	if req.Billing != nil {
		spec.Billing = *req.Billing
		if spec.Billing == model.BillingPerRequest {
			spec.ReadUnits, spec.WriteUnits = 0, 0
		}
	}
	if req.ReadUnits != nil {
		spec.ReadUnits = *req.ReadUnits
	}
	if req.WriteUnits != nil {
		spec.WriteUnits = *req.WriteUnits
	}
	if req.DeletionProtection != nil {
		spec.DeletionProtection = *req.DeletionProtection
	}
	if req.Class != nil {
		spec.Class = *req.Class
	}
	if req.KmsKey != nil {
		spec.KmsKey = *req.KmsKey
	}
	return checkBilling(spec)
}

// DeleteTable deletes a table and frees its name; its data is removed in the
// background. It returns the table as it was. Errors: ErrNotFound,
// ErrValidation when it is protected, and those of Cluster.Propose.
func (s *Service) DeleteTable(ctx context.Context, name string) (*Table, error) {
	t, err := s.table(ctx, name)
	if err != nil {
		return nil, err
	}
	if t.spec.DeletionProtection {
		return nil, invalidf(msgProtected)
	}
	if err := s.deleteResource(ctx, &t.resource); err != nil {
		return nil, err
	}
	out := t.describe()
	out.Deleting = true
	return out, nil
}
