// Package personalize speaks the protocols of Amazon Personalize over an engine, so that clients of its data deletion jobs
// work with Expunge when their endpoint is changed. [Handler] serves both services on one address: the control plane
// (AWS JSON 1.1) with what there is around datasets and their jobs, and the events service (rest-json).
//
// Its tables are the API: operations.go has the operations with their inputs and errors, constraints.go the constraints,
// structures.go the outputs, and errors.go says which error of the engine is which exception. All constraints are checked
// here, since clients check few.
//
// # Where the sources disagree
//
// The service model, its guide, the page of common errors and what has been seen of the service don't agree everywhere.
// What was followed:
//
//   - A broken constraint (a length, a pattern, an enumeration, a required member) is InvalidInputException, which the model
//     has for all operations but two, so that every SDK has a type for it. The words "1 validation error detected: ..." are
//     those seen from the service, without the value, which could be anything. ListDatasetGroups and ListSchemas have no
//     InvalidInputException: there it is ValidationError, as on the page of common errors. What was seen of the service
//     had no code, and was perhaps ValidationException.
//   - JSON that can't be read, and values of another JSON type, are SerializationException: it is on no page, and what
//     services with this protocol send. A wrong Content-Type is MalformedHttpRequestException.
//   - The common errors have the codes and statuses of the page of 2026. It has no code for a signature that doesn't
//     match or is too old: it is InvalidSignatureException with status 403, on which clients set their clock and try again. A request
//     without a signature is MissingAuthenticationToken, as in the guide of 2023.
//   - All errors of the control plane's model are 400, also ResourceNotFoundException. Those of the events service are 400, 404
//     and 409.
//   - Patterns hold for whole values, though the model doesn't anchor all of them.
//   - A schema may have 20,000 characters (model), not 10,000 (guide of 2023). roleArn of an import job is optional (model).
//   - A tracking ID that isn't there is InvalidInputException: PutEvents has no other error.
//   - A list whose filter names what isn't there is empty: lists have no ResourceNotFoundException.
//   - Lists are newest first, all of them, though the model says so of deletion jobs only; a page without maxResults holds 100.
//   - Times are numbers in plain form (1698435651.836), not with an exponent as the service seems to send: all clients read both.
//
// # What is different
//
// Groups and datasets are ACTIVE at once, and what is deleted is gone when the call returns. Import and export jobs go through
// CREATE PENDING, CREATE IN_PROGRESS and ACTIVE or CREATE FAILED, deletion jobs through PENDING, IN_PROGRESS and COMPLETED
// or FAILED. numDeleted is there when a job is COMPLETED, and is at most 2,147,483,647. A failed deletion job has deleted
// nothing.
//
// Events with a sessionId alone are in no scan and no export. They become a user's once an event carries both the sessionId
// and a userId, and are deleted with that user; so is what comes later in the session. Training sees events a moment after
// they were accepted, or after the import that is under way.
//
// Operations of the service that need models, filters or datasets of actions are UnknownOperationException, status 404.
package personalize
