"""The options of the demos that train a model, and what they stand for."""

import minivit
from minivit.data.augment import Augmentation
from minivit.threads import cores

from .options import add_device, run_folder, seed

OPTIMIZERS = {  # of params; their usual learning rates
    "muon": lambda params, lr=0.02, **more: minivit.Muon(params, lr, **more),
    "adamw": lambda params, lr=6e-3: minivit.AdamW(params, lr, betas=(0.9, 0.98)),
    "adam": lambda params, lr=6e-3: minivit.Adam(params, lr, betas=(0.9, 0.98)),
    "sgd": lambda params, lr=0.2: minivit.SGD(params, lr, momentum=0.9),
}


def chosen(parser, recipes, argv):
    """Add the option --recipe; return the settings of the one that argv asks for.

    recipes: settings by their names, "default" and others
    """
    recipe_help = "settings of the options below; quick is for a first look, record for the best"
    parser.add_argument("--recipe", choices=recipes, default="default", help=recipe_help)
    return recipes[parser.parse_known_args(argv)[0].recipe]


def add_options(parser, **defaults):
    """The options of a model and its training; a recipe may give the model a stem."""
    add = parser.add_argument
    add("--patch-size", type=int, default=7, help="side of a patch in pixels")
    add("--dim", type=int, default=64, help="width of the model")
    add("--depth", type=int, default=4, help="number of blocks")
    add("--heads", type=int, default=2, help="heads of the attention")
    add("--mlp-dim", type=int, default=128, help="width of the MLPs")
    add("--pool", choices=["mean", "cls"], default="mean", help="what the head reads")
    add("--dropout", type=float, default=0.0, help="share of activations dropped in training")
    add("--drop-path", type=float, default=0.0, help="share of branches dropped in the last block")
    keep_help = "share of the tokens kept in the first two thirds of the epochs, to be faster"
    add("--keep-tokens", type=float, metavar="SHARE", help=keep_help)
    plain_help = "last epochs, in which --augment changes nothing"
    add("--plain-epochs", type=int, default=0, metavar="N", help=plain_help)
    add_optimizer(parser)
    parser.set_defaults(**dict(stem=[]) | defaults)


def add_optimizer(parser):
    """The options of the training of a new model; a recipe may say more of Muon than its rate."""
    optimizer_help = "rule that updates the weights"
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="muon", help=optimizer_help)
    parser.set_defaults(muon={})
    lr_help = (
        "peak learning rate; without one, muon the recipe's or 0.02, adamw and adam 6e-3, sgd 0.2"
    )
    add_training(parser, lr_help)


def optimizer_of(options, params):
    """The optimizer that was asked for."""
    how = dict(options.muon) if options.optimizer == "muon" else {}
    if options.lr is not None:
        how["lr"] = options.lr
    return OPTIMIZERS[options.optimizer](params, **how)


def add_training(parser, lr_help):
    """The options of any training."""
    add = parser.add_argument
    augment_help = f"random changes of training images, or none: {Augmentation.CHANGES}"
    add("--augment", nargs="*", metavar="CHANGE", default=[], help=augment_help)
    add("--epochs", type=int, help="times that every training image is seen")
    add("--batch-size", type=int, default=250, help="images in a step")
    add("--lr", type=float, help=lr_help)
    shards_help = "parts of a step; without it, one for each core, or on a GPU and with --mpi, one"
    add("--shards", type=int, help=f"{shards_help} for each rank")
    mpi_help = "share the shards among the ranks of MPI, which mpiexec starts (docs/scale.md)"
    add("--mpi", action="store_true", help=mpi_help)
    add_device(parser)
    add("--seed", type=seed, default=0, help="of all random numbers")
    add("--run", help="name of the run's folder in runs/")
    add("--patience", type=int, help="stop after so many epochs without a lower validation loss")
    every = dict(metavar="STEPS", help="between checkpoints; there is one after each epoch too")
    add("--checkpoint-every", type=int, default=100, **every)
    resume_help = "resume a run that was stopped, such as runs/mnist"
    add("--resume", type=run_folder, metavar="RUN", help=resume_help)


def parsed(parser, argv):
    """Return the options; end as argparse does if they cannot work."""
    options = parser.parse_args(argv)
    alone = ["--resume", options.resume, "--device", options.device, *["--mpi"] * options.mpi]
    if options.resume is not None and options != parser.parse_args(alone):
        others = "--device and --mpi"
        parser.error(f"--resume takes the settings of the run; give no others but {others}")
    try:
        Augmentation.of(options.augment)
    except ValueError as error:
        parser.error(f"--augment: {error}")
    for name in ("epochs", "batch_size", "lr", "shards", "patience", "checkpoint_every"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            parser.error(f"--{name.replace('_', '-')} must be greater than 0, got {value}")
    share = getattr(options, "keep_tokens", None)
    if share is not None and not 0 < share <= 1:
        parser.error(f"--keep-tokens is a share, more than 0 and at most 1, got {share}")
    if getattr(options, "plain_epochs", 0) < 0:
        parser.error(f"--plain-epochs must be 0 or more, got {options.plain_epochs}")
    if not options.mpi:
        options.shards = options.shards or cores()
    return options


def model_of(options, image_size, channels, classes):
    """The model that was asked for. Errors: those of ViT."""
    names = (
        "patch_size", "dim", "depth", "heads", "mlp_dim", "pool", "dropout", "drop_path", "stem",
    )  # fmt: skip
    chosen = {name: getattr(options, name) for name in names}
    return minivit.ViT(image_size=image_size, channels=channels, classes=classes, **chosen)
